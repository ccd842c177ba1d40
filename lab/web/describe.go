package web

import (
	"encoding/hex"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Describe turns a kernel's record into a line for people. The kernel sends
// numbers; their meaning per stage is in kernel/abi/record.go.
func Describe(guest string, r abi.Record) Record {
	line := Record{Guest: guest, At: fmt.Sprintf("%.3f ms", float64(r.TimeNS)/1e6), Stage: r.Stage.String(), Verdict: r.Verdict.String(),
		Reason: explain(&r)}
	if r.Candidate != (abi.Digest{}) {
		line.Candidate = hex.EncodeToString(r.Candidate[:6])
	}
	if r.Code != abi.OK {
		line.Reason = fmt.Sprintf("%v; %s", r.Code, line.Reason)
		if r.Instruction >= 0 {
			line.Reason = fmt.Sprintf("%v at instruction %d; %s", r.Code, r.Instruction, explain(&r))
		}
	}
	return line
}

func explain(r *abi.Record) string {
	v := r.Values
	switch r.Stage {
	case abi.StageTelemetry:
		return fmt.Sprintf("%d events: %d delivered, %d without a consumer, %d malformed; %d slots; %d instructions each", v[0], v[1], v[2], v[3], v[4], v[5])
	case abi.StageAnalyze:
		return fmt.Sprintf("%d instructions, longest path %d, %d bytes of stack", v[0], v[1], v[2])
	case abi.StageVerify:
		return fmt.Sprintf("%d states, %d instructions looked at", v[0], v[1])
	case abi.StageDryRun:
		return fmt.Sprintf("replayed %d packets: %d instructions against %d of the default; %d wanted lost", v[3], v[1], v[0], v[2])
	case abi.StageDeploy:
		return fmt.Sprintf("version %d on CPUs %#x, version %d kept in reserve", r.SlotVersion, v[0], v[1])
	case abi.StageMonitor:
		return fmt.Sprintf("%d events, %d errors, %d audited, %d of them wanted; %d instructions each, budget %d", v[0], v[1], v[2], v[3], v[4], v[5])
	case abi.StageFault:
		return fmt.Sprintf("service %d at %#x; %d resets so far", v[0], v[1], v[3])
	}
	return ""
}
