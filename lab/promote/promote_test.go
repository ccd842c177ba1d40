package promote

import (
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/optimizer/objective"
)

func measured(name string, role experiment.Role, insn, delivered uint64, program ...byte) experiment.Measurement {
	arm := experiment.Arm{Name: name, Role: role, Program: program}
	report := abi.Report{Offered: 1000, NeededOffered: 400, NeededDelivered: delivered, InsnTotal: insn}
	return experiment.Measurement{Arm: arm, Digest: arm.Digest(), Verdict: stats.Pass, Report: report,
		Cost: stats.Rate{Total: insn, Count: 1000}, Samples: 2}
}

func result(more ...experiment.Measurement) *experiment.Result {
	arms := []experiment.Measurement{
		measured("floor", experiment.RoleFloor, 300_000, 400),
		measured("default", experiment.RoleDefault, 1_000_000, 400),
		measured("drop-all", experiment.RoleCheat, 60_000, 6, 1),
	}
	return &experiment.Result{Verdict: stats.Pass, Arms: append(arms, more...)}
}

func decide(t *testing.T, r *experiment.Result) Decision {
	t.Helper()
	o, err := objective.For(abi.HookNetRX)
	if err != nil {
		t.Fatal(err)
	}
	return Decide(o, r)
}

func TestTheCheapestLosslessCandidateWins(t *testing.T) {
	d := decide(t, result(
		measured("good", experiment.RoleCandidate, 600_000, 400, 2),
		measured("best", experiment.RoleCandidate, 500_000, 400, 3),
		measured("cheaper and lossy", experiment.RoleCandidate, 400_000, 399, 4)))
	if d.Verdict != stats.Pass || d.Promoted == nil || d.Promoted.Measurement.Arm.Name != "best" {
		t.Fatalf("%+v", d)
	}
	if len(d.Judged) != 4 {
		t.Errorf("%d arms judged, want the cheat and three candidates", len(d.Judged))
	}
}

func TestTiesAreDecidedByTheProgram(t *testing.T) {
	a := measured("long", experiment.RoleCandidate, 500_000, 400, 1, 2)
	b := measured("short", experiment.RoleCandidate, 500_000, 400, 9)
	for _, r := range []*experiment.Result{result(a, b), result(b, a)} {
		if d := decide(t, r); d.Promoted == nil || d.Promoted.Measurement.Arm.Name != "short" {
			t.Errorf("%+v", d.Promoted)
		}
	}
}

func TestNothingIsPromoted(t *testing.T) {
	good := measured("good", experiment.RoleCandidate, 600_000, 400, 2)
	dead := good
	dead.Verdict, dead.Problem = stats.Infra, "guest hung"
	controls := result(good)
	controls.Verdict, controls.Problem = stats.Inconclusive, "the A/A control fired"
	tame := result(good)
	tame.Arms[2].Report.NeededDelivered = 400 // the cheat loses nothing: the labels are wrong
	for _, c := range []struct {
		name    string
		result  *experiment.Result
		verdict stats.Verdict
		reason  string
	}{
		{"no candidate", result(), stats.Inconclusive, "no candidate"},
		{"no winner", result(measured("slow", experiment.RoleCandidate, 1_000_001, 400, 2)), stats.Fail, "none of 1"},
		{"dead guest only", result(dead), stats.Fail, "none of 1"},
		{"beyond the floor", result(good, measured("magic", experiment.RoleCandidate, 299_000, 400, 3)), stats.Inconclusive, "harness is wrong"},
		{"controls failed", controls, stats.Inconclusive, "A/A control"},
		{"cheat not refused", tame, stats.Inconclusive, "planted drop-all was not refused"},
	} {
		d := decide(t, c.result)
		if d.Verdict != c.verdict || d.Promoted != nil || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: %s, promoted %v: %s", c.name, d.Verdict, d.Promoted, d.Reason)
		}
	}
}
