package dryrun_test

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/sim"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

const bounds = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 42\nif r4 > r3 goto pass\n"

// Programs of the tests. Port numbers are in network order: 5353, 80, 9.
const (
	dropAll      = "r0 = 1\nexit"
	passAll      = "r0 = 2\nexit"
	dropJunk     = bounds + "r5 = *(u16 *)(r2 + 36)\nif r5 != 59668 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit"
	dropButPort  = bounds + "r5 = *(u16 *)(r2 + 36)\nif r5 == 20480 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit"
	dropFirst    = bounds + "r5 = *(u8 *)(r2 + 0)\nif r5 != 2 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit"
	dropRare     = bounds + "r5 = *(u16 *)(r2 + 36)\nif r5 != 2304 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit"
	writesPacket = bounds + "*(u8 *)(r2 + 0) = 1\npass: r0 = 2\nexit"
	readsDevice  = "r5 = *(u32 *)(r1 + 12)\nr0 = 2\nexit"
	beyondSnap   = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 120\nif r4 > r3 goto pass\nr5 = *(u8 *)(r2 + 119)\npass: r0 = 2\nexit"
)

func compile(t testing.TB, text string) verify.Program {
	t.Helper()
	out := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	n, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: %v", place.Line, place.Column, code)
	}
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: out[:n]}, new(analyze.Workspace))
	if report.Code != abi.OK {
		t.Fatalf("slot %d: %v", report.Instruction, report.Code)
	}
	program, fault := verify.Check(analyzed, new(verify.Workspace))
	if fault.Code != abi.OK {
		t.Fatalf("slot %d: %v", fault.Instruction, fault.Code)
	}
	return program
}

type bench struct {
	judge  dryrun.Judge
	model  dryrun.Model
	window telemetry.Window
}

// begin records a window under the built-in default and prepares the judge.
func begin(t testing.TB, seed uint64, mix sim.Mix) *bench {
	k := sim.New(seed, 2)
	t.Cleanup(k.Close)
	k.Serve()
	b := new(bench)
	k.Record(mix, &b.window)
	b.model.Reset()
	b.judge.Begin(&b.window, &b.model, nil, 0)
	if report := b.prepare(); report.Code != abi.OK {
		t.Fatalf("baseline: %v", report.Code)
	}
	return b
}

func (b *bench) prepare() dryrun.Report {
	for {
		if report, done := b.judge.Prepare(100); done {
			return report
		}
	}
}

func (b *bench) try(p verify.Program) dryrun.Report {
	if code := b.judge.Try(p); code != abi.OK {
		return dryrun.Report{Code: code}
	}
	for {
		if report, done := b.judge.Step(100); done {
			return report
		}
	}
}

func junk() sim.Mix { return sim.Office().With(100, sim.Datagrams(5353)).With(5, sim.Datagrams(9)) }

func TestJudgement(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		b := begin(t, seed, junk())
		wanted := uint32(0)
		for i := range b.window.Events {
			if b.window.Events[i].Outcome == abi.OutcomeDelivered {
				wanted++
			}
		}
		for _, c := range []struct {
			name, text string
			code       abi.Code
			lost       uint32 // 0 = none, 1 = some, 2 = all
		}{
			{"drop all", dropAll, abi.ErrLosesNeeded, 2},
			{"drop all but the commonest port", dropButPort, abi.ErrLosesNeeded, 1},
			{"drop by first byte", dropFirst, abi.ErrLosesNeeded, 2},
			{"pass all", passAll, abi.ErrWorse, 0},
			{"drop what is rare", dropRare, abi.ErrNoGain, 0},
			{"drop the junk port", dropJunk, abi.OK, 0},
			{"writes packets", writesPacket, abi.ErrMutates, 0},
			{"reads bytes that were not recorded", beyondSnap, abi.ErrSnapTruncated, 0},
			{"reads a field that was not recorded", readsDevice, abi.ErrSnapTruncated, 0},
		} {
			report := b.try(compile(t, c.text))
			if report.Code != c.code {
				t.Errorf("seed %d %s: %v, want %v (%+v)", seed, c.name, report.Code, c.code, report)
			}
			ok := c.lost == 0 && report.WantedLost == 0 || c.lost == 1 && report.WantedLost > 0 && report.WantedLost < wanted ||
				c.lost == 2 && report.WantedLost == wanted
			if !ok {
				t.Errorf("seed %d %s: %d of %d wanted lost", seed, c.name, report.WantedLost, wanted)
			}
		}
		chosen, report, any := b.judge.Choose()
		if !any || chosen.Digest() != compile(t, dropJunk).Digest() || report.Insn >= report.BaselineInsn {
			t.Errorf("seed %d: chosen %v %+v", seed, any, report)
		}
		chosen.Exchange(new(interp.Loaded))
		if chosen.Valid() {
			t.Error("a Chosen can be spent twice")
		}
	}
}

func TestChosenDiesWithItsRound(t *testing.T) {
	b := begin(t, 1, junk())
	b.try(compile(t, dropJunk))
	chosen, _, _ := b.judge.Choose()
	b.judge.Begin(&b.window, &b.model, nil, 0)
	if chosen.Valid() {
		t.Error("a Chosen outlives its round")
	}
	if (dryrun.Chosen{}).Valid() {
		t.Error("the zero Chosen is valid")
	}
}

// The model's idea of a program's cost, against what the simulated machine
// then charges for it.
func TestPredictionMeetsTheBill(t *testing.T) {
	k := sim.New(5, 2)
	defer k.Close()
	k.Serve()
	b := new(bench)
	b.model.Reset()
	k.Record(junk(), &b.window)
	b.judge.Begin(&b.window, &b.model, nil, 0)
	before := b.prepare()
	predicted := b.try(compile(t, dropJunk))

	// The same program runs, and a second window is recorded and judged.
	wire := make([]byte, 0, 256)
	p := compile(t, dropJunk)
	for i := 0; i < p.Len(); i++ {
		var slot [bpf.SlotBytes]byte
		bpf.EncodeSlot(p.At(i), slot[:])
		wire = append(wire, slot[:]...)
	}
	if _, reply := k.Pipeline.InstallJob(wire); reply.Code != abi.OK {
		t.Fatal(reply.Code)
	}
	k.Run(junk(), 100) // packets that entered under the default leave
	for {
		var event abi.NetRXEvent
		if !k.RingRead(0, &event) && !k.RingRead(1, &event) {
			break
		}
	}
	b.window.Clear()
	k.Record(junk(), &b.window)
	billed := uint64(0)
	for i := range b.window.Events {
		billed += uint64(b.window.Events[i].CostInsn)
	}
	within := func(name string, got, want, perCent uint64) {
		if got*100 < want*(100-perCent) || got*100 > want*(100+perCent) {
			t.Errorf("%s: %d, want %d within %d %%", name, got, want, perCent)
		}
	}
	within("predicted before it ran", predicted.Insn, billed, 15) // initial constants, another draw of packets
	var image interp.Loaded
	interp.Load(compile(t, dropJunk), &image)
	b.judge.Begin(&b.window, &b.model, &image, b.window.Events[0].SlotVersion)
	after := b.prepare()
	if after.Code != abi.OK {
		t.Fatal(after.Code)
	}
	within("running program, calibrated", after.RunningInsn, billed, 2)
	within("default, seen through the program", after.DefaultInsn, before.DefaultInsn, 10)
}

// Interrupts inside a few paths change no judgement.
func TestOutliersDoNotMoveTheModel(t *testing.T) {
	quiet, noisy := begin(t, 9, junk()), begin(t, 9, junk())
	for i := 0; i < noisy.window.Count; i += 50 {
		noisy.window.Events[i].CostInsn += 200_000
	}
	noisy.judge.Begin(&noisy.window, &noisy.model, nil, 0)
	report := noisy.prepare()
	quiet.judge.Begin(&quiet.window, &quiet.model, nil, 0)
	want := quiet.prepare()
	if report.DefaultInsn*100 > want.DefaultInsn*103 || report.DefaultInsn*100 < want.DefaultInsn*97 {
		t.Errorf("%d instructions, %d without interrupts", report.DefaultInsn, want.DefaultInsn)
	}
}

// A record that the running program cannot have made is not judged on.
func TestReplayMustMatchTheRecord(t *testing.T) {
	b := begin(t, 1, junk())
	var image interp.Loaded
	interp.Load(compile(t, dropJunk), &image)
	for i := range b.window.Events {
		b.window.Events[i].Flags |= abi.EventProgramRan
		b.window.Events[i].SlotVersion = 7 // it says pass everywhere; dropJunk would have dropped
	}
	b.judge.Begin(&b.window, &b.model, &image, 7)
	if report := b.prepare(); report.Code != abi.ErrNotDefault {
		t.Errorf("%v", report.Code)
	}
}

// What was dropped unseen counts as junk only while audits say so.
func TestBlindDropsNeedAudits(t *testing.T) {
	for _, c := range []struct {
		name   string
		audit  func(event *abi.NetRXEvent, drop int)
		code   abi.Code
		blinds bool
	}{
		{"none audited", func(*abi.NetRXEvent, int) {}, abi.ErrLosesNeeded, true},
		{"audited, junk", func(e *abi.NetRXEvent, drop int) {
			if drop%dryrun.AuditInterval == 0 {
				e.Flags |= abi.EventAudited
				e.Outcome = abi.OutcomeNoConsumer
			}
		}, abi.ErrNoGain, true},
		{"audited, wanted", func(e *abi.NetRXEvent, drop int) {
			if drop == 100 {
				e.Flags |= abi.EventAudited
				e.Outcome = abi.OutcomeDelivered
			}
		}, abi.ErrLosesNeeded, true},
	} {
		b := begin(t, 2, junk())
		var image interp.Loaded
		interp.Load(compile(t, dropJunk), &image)
		drops := 0
		for i := range b.window.Events {
			event := &b.window.Events[i]
			event.Flags, event.SlotVersion = abi.EventProgramRan, 7
			if b.window.Packets[i].DestinationPort == 5353 && b.window.Packets[i].Kind != telemetry.KindOther {
				event.Action, event.Outcome, event.CostInsn = abi.NetRXDrop, abi.OutcomeUnknown, 400
				c.audit(event, drops)
				drops++
			}
		}
		// Options and fragments shift what dropJunk reads; take them out.
		b.judge.Begin(&b.window, &b.model, &image, 7)
		if report := b.prepare(); report.Code != abi.OK {
			t.Fatalf("%s: baseline %v", c.name, report.Code)
		}
		report := b.try(compile(t, dropJunk))
		if report.Code != c.code && !(c.code == abi.ErrNoGain && report.Code == abi.ErrWorse) || (report.Blind > 0) != c.blinds {
			t.Errorf("%s: %v, %d blind, %d audited", c.name, report.Code, report.Blind, report.Audited)
		}
	}
}

func TestShortWindowGainsNothing(t *testing.T) {
	b := begin(t, 1, junk())
	b.window.Count = dryrun.EventsMin - 1
	b.judge.Begin(&b.window, &b.model, nil, 0)
	if report := b.prepare(); report.Code != abi.ErrNoGain {
		t.Errorf("%v", report.Code)
	}
}

// Records from a hostile ring must not crash the judge.
func FuzzJudge(f *testing.F) {
	f.Add(make([]byte, 256))
	program := compile(f, dropJunk)
	var image interp.Loaded
	interp.Load(program, &image)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		b := new(bench)
		b.model.Reset()
		for len(bytes) >= 128 {
			var event abi.NetRXEvent
			event.Get(bytes)
			b.window.Add(&event)
			bytes = bytes[128:]
		}
		b.judge.Begin(&b.window, &b.model, &image, 1)
		b.prepare()
		b.try(program)
	})
}

func TestNoAllocations(t *testing.T) {
	b := begin(t, 3, junk())
	program := compile(t, dropJunk)
	if n := testing.AllocsPerRun(5, func() {
		b.judge.Begin(&b.window, &b.model, nil, 0)
		b.prepare()
		b.try(program)
		b.judge.Choose()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
