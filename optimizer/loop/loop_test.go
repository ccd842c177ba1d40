package loop

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/sim"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

// load gives the simulated guests what real ones have: the stages and the
// interpreter that the kernel ships.
func load(wire []byte) (sim.Executor, error) {
	instructions := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	count, place, code := bpf.Decode(wire, instructions)
	if code != abi.OK {
		return nil, fmt.Errorf("decode: %v at %d", code, place.Instruction)
	}
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: instructions[:count]},
		analyze.NewWorkspace(abi.ProgramInstructionsMax))
	if report.Code != abi.OK {
		return nil, fmt.Errorf("analyze: %v at %d", report.Code, report.Instruction)
	}
	program, fault := verify.Check(analyzed, verify.NewWorkspace())
	if fault.Code != abi.OK {
		return nil, fmt.Errorf("verify: %v at %d", fault.Code, fault.Instruction)
	}
	loaded, machine := new(interp.Loaded), new(interp.Machine)
	if code := interp.Load(program, loaded); code != abi.OK {
		return nil, fmt.Errorf("load: %v", code)
	}
	return func(context abi.NetRXContext, packet []byte) (uint64, uint32, error) {
		result, steps, code := loaded.Run(machine, &context, packet, len(packet))
		if code != abi.OK {
			return 0, steps, fmt.Errorf("run: %v", code)
		}
		return result, steps, nil
	}, nil
}

// standing is a fleet of two that keeps whatever it gets.
type standing struct{ installed [][]byte }

func (s *standing) Install(_ context.Context, _ abi.HookID, program []byte) []Live {
	s.installed = append(s.installed, program)
	return []Live{{Guest: "a", Stage: abi.StageMonitor, Verdict: abi.VerdictKept, Said: "kept it"},
		{Guest: "b", Stage: abi.StageMonitor, Verdict: abi.VerdictRolledBack, Code: abi.ErrLossBudget, Said: "took it back"}}
}

func campaign(t *testing.T, seed uint64, fleet *sim.Fleet) (*Campaign, *standing, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	book, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	fleet.Load = load
	live := &standing{}
	return &Campaign{Hook: abi.HookNetRX, Seed: seed, Candidates: 3, Packets: 3000, Runner: fleet, Ledger: book, Standing: live,
		Fingerprint: map[string]string{"target": "simulated"}}, live, path
}

func run(t *testing.T, c *Campaign) *Outcome {
	t.Helper()
	out, err := c.Run(context.Background())
	if err != nil {
		t.Fatalf("seed %d: %v", c.Seed, err)
	}
	return out
}

// TestCampaign walks the whole story on a fleet without QEMU, with the real
// search, stages, interpreter, judge and ledger.
func TestCampaign(t *testing.T) {
	c, live, path := campaign(t, 1, &sim.Fleet{})
	var steps []string
	guests := 0
	c.Observe = func(p Progress) {
		switch {
		case p.Guest != nil:
			guests++
		case p.Ended:
			steps = append(steps, string(p.Step))
		}
	}
	out := run(t, c)
	if out.Decision.Verdict != stats.Pass || out.Decision.Promoted == nil {
		t.Fatalf("%s: %s", out.Decision.Verdict, out.Decision.Reason)
	}
	for _, d := range out.Decisions() {
		t.Logf("%-24s %-12s %s", d.Name, d.Verdict, d.Reason)
		if d.Role == string(experiment.RoleCheat) && d.Code != abi.ErrLosesNeeded.String() {
			t.Errorf("the planted %s: %s, %s", d.Name, d.Verdict, d.Reason)
		}
	}
	if len(live.installed) != 1 || string(live.installed[0]) != string(out.Decision.Promoted.Measurement.Arm.Program) {
		t.Error("the fleet got another program than was promoted")
	}
	if want := []string{"Propose", "Verify", "Experiment", "Promote", "Swap into the fleet"}; !reflect.DeepEqual(steps, want) {
		t.Errorf("steps %v", steps)
	}
	if arms := 3 + len(out.Proposals); guests != 2*arms { // calibration is not part of the experiment
		t.Errorf("%d guests for %d arms", guests, arms)
	}
	checkLedger(t, path, out)
}

// checkLedger: the seed's hash stands first, fits the seed revealed at the end,
// and every decision is there before the fleet's.
func checkLedger(t *testing.T, path string, out *Outcome) {
	t.Helper()
	var kinds []string
	var opening campaignBody
	var closing closingBody
	_, err := ledger.Read(path, func(e ledger.Entry) error {
		kinds = append(kinds, e.Kind)
		switch e.Kind {
		case "campaign":
			return json.Unmarshal(e.Body, &opening)
		case "closing":
			return json.Unmarshal(e.Body, &closing)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "campaign" + strings.Repeat(" decision", len(out.Decisions())) + " closing live live"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("ledger holds %s, want %s", got, want)
	}
	salt, err := hex.DecodeString(closing.Salt)
	if err != nil || experiment.Commitment(closing.WorkloadSeed, [32]byte(salt)) != opening.SeedHash {
		t.Error("the revealed seed does not fit the hash published before")
	}
	if len(closing.Controls) != 5 {
		t.Errorf("%d control arms in the closing entry", len(closing.Controls))
	}
}

func TestASeedDecidesEverything(t *testing.T) {
	decisions := func(seed uint64) string {
		c, _, _ := campaign(t, seed, &sim.Fleet{})
		text, err := json.Marshal(run(t, c).Decisions())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := decisions(7)
	if again := decisions(7); again != first {
		t.Errorf("seed 7 gave\n%s\nthen\n%s", first, again)
	}
	if decisions(8) == first {
		t.Error("seed 8 gave what seed 7 gave")
	}
}

func TestABrokenHarnessPromotesNothing(t *testing.T) {
	for name, faults := range map[string]sim.Faults{
		"jitter": {Jitter: true}, "blind to cost": {BlindToCost: true}, "wrong digest": {WrongDigest: true}, "old nonce": {OldNonce: true},
	} {
		c, live, _ := campaign(t, 3, &sim.Fleet{Faults: faults})
		out := run(t, c)
		if out.Decision.Verdict == stats.Pass || out.Decision.Verdict == stats.Fail || len(live.installed) != 0 {
			t.Errorf("%s: %s (%s), %d installed", name, out.Decision.Verdict, out.Decision.Reason, len(live.installed))
		}
	}
}

func TestInterruptedCampaignInstallsNothing(t *testing.T) {
	c, live, _ := campaign(t, 4, &sim.Fleet{})
	ctx, cancel := context.WithCancel(context.Background())
	c.Observe = func(p Progress) {
		if p.Guest != nil {
			cancel()
		}
	}
	if _, err := c.Run(ctx); err == nil || len(live.installed) != 0 {
		t.Errorf("ended with %v, %d installed", err, len(live.installed))
	}
}

// TestRehearsalIsTheProgram holds the host's evaluation of filters against the
// programs they print, run by the kernel's interpreter.
func TestRehearsalIsTheProgram(t *testing.T) {
	const seed = 9
	training, err := Workload(abi.HookNetRX, seed, 1500)
	if err != nil {
		t.Fatal(err)
	}
	window, err := trainingWindow(training)
	if err != nil {
		t.Fatal(err)
	}
	mutator, seeds := propose.NewMutator(seed, window), propose.Seeds(window)
	filter, mate := seeds["busy-knocking"], seeds["noisy-neighbour"]
	for round := range 150 {
		filter = mutator.Mutate(filter, mate)
		judged := []Proposal{{Name: "mutant", Role: experiment.RoleCandidate, Text: filter.Print()}}
		if _, err := admit(judged); err != nil || !judged[0].Accepted() {
			t.Fatalf("seed %d round %d: %s refused: %s", seed, round, filter, judged[0].Said)
		}
		execute, err := load(judged[0].Program)
		if err != nil {
			t.Fatal(err)
		}
		want := window.Rehearse(filter)
		dropped, lost, steps := 0, 0, 0
		for _, packet := range window.Packets {
			action, taken, err := execute(abi.NetRXContext{DataEnd: uint32(len(packet.Bytes)), FlowPackets: packet.FlowPackets}, packet.Bytes)
			steps += int(taken)
			switch {
			case err != nil:
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			case action == abi.NetRXDrop && packet.Wanted:
				lost++
			case action == abi.NetRXDrop:
				dropped++
			}
		}
		if dropped != want.Dropped || lost != want.WantedLost || steps != want.Steps {
			t.Fatalf("seed %d round %d: the program drops %d, loses %d, takes %d steps, the rehearsal says %d, %d, %d: %s",
				seed, round, dropped, lost, steps, want.Dropped, want.WantedLost, want.Steps, filter)
		}
	}
}

// TestSeedsInCTakeTheSameWay compiles the C filters to real ELF objects.
func TestSeedsInCTakeTheSameWay(t *testing.T) {
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("NOT TESTED: %s is missing", compiler)
	}
	objects, err := CompileSeeds(context.Background(), t.TempDir())
	if err != nil || len(objects) < 2 {
		t.Fatalf("%d objects: %v", len(objects), err)
	}
	var proposals []Proposal
	for _, object := range objects {
		proposals = append(proposals, Proposal{Name: object.Name, Role: experiment.RoleCandidate, Object: object.Bytes})
	}
	broken := append([]byte(nil), objects[0].Bytes[:len(objects[0].Bytes)/2]...)
	proposals = append(proposals, Proposal{Name: "cut in half", Role: experiment.RoleCandidate, Object: broken})
	if _, err := admit(proposals); err != nil {
		t.Fatal(err)
	}
	for i, p := range proposals {
		t.Logf("%s: %v %s", p.Name, p.Stage, p.Said)
		if p.Accepted() == (i == len(objects)) {
			t.Errorf("%s: accepted %v (%s)", p.Name, p.Accepted(), p.Said)
		}
	}
}
