package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// office is ordinary traffic: web, name service, pings, and oddities that no
// program may touch.
func office() Mix {
	return Mix{{40, Service(80)}, {30, Service(443)}, {20, Datagrams(53)}, {5, Ping}, {3, Odd}}
}

func boot(t *testing.T, seed uint64, cpus int) *Kernel {
	k := New(seed, cpus)
	t.Cleanup(k.Close)
	k.Listens[Listen{6, 80}] = true
	k.Listens[Listen{6, 443}] = true
	k.Listens[Listen{17, 53}] = true
	t.Cleanup(func() {
		for _, broken := range k.Check() {
			t.Error(broken)
		}
		if t.Failed() {
			t.Log(k.transcript())
		}
	})
	return k
}

// transcript tells the story in one line per record.
func (k *Kernel) transcript() string {
	var out strings.Builder
	for _, r := range k.Records {
		fmt.Fprintf(&out, "%9d us %-9v %-11v %-16v v%d %x %v\n", r.TimeNS/1000, r.Stage, r.Verdict, r.Code, r.SlotVersion, r.Candidate[:3], r.Values)
	}
	return out.String()
}

func (k *Kernel) count(stage abi.Stage, verdict abi.Verdict) (n int) {
	for _, r := range k.Records {
		if r.Stage == stage && r.Verdict == verdict {
			n++
		}
	}
	return n
}

func TestQuietTrafficInstallsNothing(t *testing.T) {
	k := boot(t, 1, 4)
	k.Run(office(), 60_000)
	if n := k.count(abi.StageDeploy, abi.VerdictCanary); n != 0 {
		t.Errorf("%d programs for traffic without junk", n)
	}
	if k.count(abi.StageTelemetry, abi.VerdictObserved) == 0 {
		t.Error("no window was looked at")
	}
}

func TestScanIsFilteredAndTheProgramKept(t *testing.T) {
	for _, cpus := range []int{1, 4} {
		k := boot(t, 2, cpus)
		k.Run(office(), 5_000)
		k.Run(append(office(), Share{150, Scan}), 60_000)
		for _, want := range []struct {
			stage   abi.Stage
			verdict abi.Verdict
		}{
			{abi.StageDeploy, abi.VerdictCanary}, {abi.StageDeploy, abi.VerdictInstalled}, {abi.StageMonitor, abi.VerdictKept},
		} {
			if k.count(want.stage, want.verdict) == 0 {
				t.Errorf("%d CPUs: no %v %v", cpus, want.stage, want.verdict)
			}
		}
		if t.Failed() {
			t.Log(k.transcript())
		}
		k.Close()
	}
}
