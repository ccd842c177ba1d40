package experiment_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/sim"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// The toy language of these tests, one slot: byte 0 says what to drop, byte 1
// how many steps that takes.
const (
	toyPass    = 1
	toyDropAll = 2
	toyDropTCP = 3
)

func toy(kind, steps byte) []byte { return []byte{kind, steps, 0, 0, 0, 0, 0, 0} }

func loadToy(program []byte) (sim.Executor, error) {
	return func(_ abi.NetRXContext, packet []byte) (uint64, uint32, error) {
		drop := program[0] == toyDropAll || program[0] == toyDropTCP && packet[23] == 6
		if drop {
			return abi.NetRXDrop, uint32(program[1]), nil
		}
		return abi.NetRXPass, uint32(program[1]), nil
	}, nil
}

func plan() experiment.Plan {
	return experiment.Plan{Hook: abi.HookNetRX, Repeats: 2, Workload: sim.ExampleWorkload(11, 600), Arms: []experiment.Arm{
		{Name: "floor", Role: experiment.RoleFloor},
		{Name: "default", Role: experiment.RoleDefault},
		{Name: "control", Role: experiment.RoleControl},
		{Name: "pass", Role: experiment.RolePass, Program: toy(toyPass, 2)},
		{Name: "plant", Role: experiment.RolePlant, Program: toy(toyPass, 3)},
		{Name: "drop-all", Role: experiment.RoleCheat, Program: toy(toyDropAll, 2)},
		{Name: "candidate", Role: experiment.RoleCandidate, Program: toy(toyDropTCP, 4)},
	}}
}

func execute(t *testing.T, fleet *sim.Fleet, p experiment.Plan) *experiment.Result {
	t.Helper()
	fleet.Load = loadToy
	result, err := experiment.Execute(context.Background(), fleet, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestEveryArmRunsTwiceInFreshGuests(t *testing.T) {
	fleet := &sim.Fleet{Limit: 2}
	events := 0
	fleet.Load = loadToy
	result, err := experiment.Execute(context.Background(), fleet, plan(), func(e experiment.Event) {
		events++
		if e.Done != events || e.Total != 14 {
			t.Errorf("event %d says %d of %d", events, e.Done, e.Total)
		}
	})
	if err != nil || result.Verdict != stats.Pass {
		t.Fatalf("%+v, %v", result, err)
	}
	total, most := fleet.Booted()
	if total != 14 || most > 2 || events != 14 {
		t.Errorf("%d guests, %d at once, %d events", total, most, events)
	}
	floor, _ := result.Arm(experiment.RoleFloor)
	base, _ := result.Arm(experiment.RoleDefault)
	candidate, _ := result.Arm(experiment.RoleCandidate)
	cheaper := func(a, b experiment.Measurement) bool {
		order, err := stats.Compare(a.Cost, b.Cost)
		return err == nil && order < 0
	}
	if !cheaper(floor, candidate) || !cheaper(candidate, base) {
		t.Errorf("floor %v, candidate %v, default %v: not in this order", floor.Cost, candidate.Cost, base.Cost)
	}
	if candidate.Samples != 2 || candidate.Report.NeededDelivered >= base.Report.NeededDelivered {
		t.Errorf("dropping TCP lost no needed packet: %+v", candidate.Report)
	}
}

// TestTheHarnessNoticesItsOwnFaults: each fault must end without a figure or
// with an inconclusive experiment, and name itself.
func TestTheHarnessNoticesItsOwnFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		faults  sim.Faults
		role    experiment.Role
		arm     stats.Verdict
		whole   stats.Verdict
		problem string
	}{
		{"other bytes ran", sim.Faults{WrongDigest: true}, experiment.RoleCandidate, stats.Infra, stats.Infra, "the slot holds"},
		{"an old attestation", sim.Faults{OldNonce: true}, experiment.RoleCandidate, stats.Infra, stats.Infra, "attestation refused"},
		{"figures do not repeat", sim.Faults{Jitter: true}, experiment.RoleDefault, stats.Inconclusive, stats.Inconclusive, "differ"},
		{"the plant is not seen", sim.Faults{BlindToCost: true}, experiment.RoleCandidate, stats.Pass, stats.Inconclusive, "planted regression was not seen"},
	} {
		result := execute(t, &sim.Fleet{Faults: c.faults}, plan())
		arm, _ := result.Arm(c.role)
		if arm.Verdict != c.arm || result.Verdict != c.whole {
			t.Errorf("%s: arm %s, experiment %s (%s)", c.name, arm.Verdict, result.Verdict, result.Problem)
		}
		if !strings.Contains(arm.Problem+result.Problem, c.problem) {
			t.Errorf("%s: says %q and %q", c.name, arm.Problem, result.Problem)
		}
	}
}

func TestAControlThatFiresIsInconclusive(t *testing.T) {
	fleet := &sim.Fleet{Load: loadToy}
	result, err := experiment.Execute(context.Background(), crooked{fleet}, plan(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Verdict != stats.Inconclusive || !strings.Contains(result.Problem, "A/A control fired") {
		t.Errorf("%s: %s", result.Verdict, result.Problem)
	}
}

// crooked favours the guests of the control arm.
type crooked struct{ *sim.Fleet }

func (c crooked) Measure(ctx context.Context, name string, job []byte) (experiment.Run, error) {
	run, err := c.Fleet.Measure(ctx, name, job)
	if strings.HasPrefix(name, "control") {
		run.Report.InsnTotal--
	}
	return run, err
}

func TestADeadGuestIsInfraAndTheRestGoesOn(t *testing.T) {
	dead := errors.New("guest hung")
	fleet := &sim.Fleet{Faults: sim.Faults{Boot: func(name string) error {
		if strings.HasPrefix(name, "drop-all") {
			return dead
		}
		return nil
	}}}
	result := execute(t, fleet, plan())
	cheat, _ := result.Arm(experiment.RoleCheat)
	candidate, _ := result.Arm(experiment.RoleCandidate)
	if cheat.Verdict != stats.Infra || !strings.Contains(cheat.Problem, "guest hung") {
		t.Errorf("the dead guest: %+v", cheat)
	}
	if candidate.Verdict != stats.Pass || result.Verdict != stats.Pass {
		t.Errorf("the others: %s, %s", candidate.Verdict, result.Verdict)
	}
}

func TestPlansThatProveNothingAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*experiment.Plan){
		"one repeat":         func(p *experiment.Plan) { p.Repeats = 1 },
		"no packets":         func(p *experiment.Plan) { p.Workload.PacketCount = 0 },
		"no control":         func(p *experiment.Plan) { p.Arms = append(p.Arms[:2:2], p.Arms[3:]...) },
		"no plant":           func(p *experiment.Plan) { p.Arms = append(p.Arms[:4:4], p.Arms[5:]...) },
		"two arms, one name": func(p *experiment.Plan) { p.Arms[6].Name = "floor" },
		"program in floor":   func(p *experiment.Plan) { p.Arms[0].Program = toy(toyPass, 1) },
		"empty candidate":    func(p *experiment.Plan) { p.Arms[6].Program = nil },
	} {
		p := plan()
		spoil(&p)
		if _, err := experiment.Execute(context.Background(), &sim.Fleet{Load: loadToy}, p, nil); err == nil {
			t.Errorf("%s: was run", name)
		}
	}
}

func TestCommitment(t *testing.T) {
	a := experiment.Commitment(1, [32]byte{1})
	if a != experiment.Commitment(1, [32]byte{1}) || a == experiment.Commitment(2, [32]byte{1}) || a == experiment.Commitment(1, [32]byte{2}) {
		t.Error("the commitment does not bind seed and salt")
	}
}
