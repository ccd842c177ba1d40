// The workload of a campaign: which traffic a guest is offered, and the job
// that offers it.

package loop

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

const (
	// DefaultPackets of a measured guest: enough for every family of the capture
	// to occur hundreds of times, little enough for a guest to take under a second.
	DefaultPackets  = 6144
	trainingPackets = 2048
	calmShare       = 8 // one packet in so many comes before the scan starts
)

// derive makes independent seeds of one: whoever knows the proposer's does not
// know the workload's.
func derive(seed uint64, purpose string) uint64 {
	h := sha256.New()
	h.Write([]byte("kingly-os/go-kernel campaign\x00" + purpose + "\x00"))
	h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// Workload is the traffic of a hook for a seed: calm first, then the scan.
func Workload(hook abi.HookID, seed uint64, packets uint32) (experiment.Workload, error) {
	if hook != abi.HookNetRX {
		return experiment.Workload{}, fmt.Errorf("no workload is known for hook %d", hook)
	}
	scenario, err := capture.DefaultScenario(seed)
	if err != nil {
		return experiment.Workload{}, err
	}
	phases := scenario.Phases[:capture.PhaseScan+1]
	phases[capture.PhaseCalm].PacketCount = packets / calmShare
	phases[capture.PhaseScan].PacketCount = packets - packets/calmShare
	return experiment.Workload{Name: "services", Trace: scenario.Trace, Listens: scenario.Listens,
		Phases: phases, PacketCount: packets, Seed: seed}, nil
}

// trainingWindow is what the proposer may see of a workload.
func trainingWindow(w experiment.Workload) (*propose.Window, error) {
	blob, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobMeasure, Seed: w.Seed, Trace: w.Trace,
		Listens: w.Listens, Phases: w.Phases, PacketCount: w.PacketCount})
	if err != nil {
		return nil, err
	}
	job, code := abi.ParseJob(blob)
	if code != abi.OK {
		return nil, fmt.Errorf("training window: %v", code)
	}
	return propose.WindowOf(job), nil
}
