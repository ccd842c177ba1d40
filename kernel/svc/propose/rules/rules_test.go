package rules_test

import (
	"bytes"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/sim"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/propose/rules"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

func record(t testing.TB, seed uint64, mix sim.Mix) (*telemetry.Window, *telemetry.Snapshot) {
	k := sim.New(seed, 2)
	t.Cleanup(k.Close)
	k.Serve()
	w, s := new(telemetry.Window), new(telemetry.Snapshot)
	k.Record(mix, w)
	var b telemetry.Builder
	b.Begin(s)
	for !b.Step(w, s, 1000) {
	}
	return w, s
}

var mixes = map[string]sim.Mix{
	"scan":           sim.Office().With(150, sim.Scan),
	"junk port":      sim.Office().With(100, sim.Datagrams(5353)),
	"flood":          sim.Office().With(80, sim.Flood(80)),
	"everything":     sim.Office().With(80, sim.Scan).With(50, sim.Datagrams(5353)).With(30, sim.Datagrams(9)).With(40, sim.Flood(443)),
	"nothing served": sim.Mix{{Weight: 1, Make: sim.Scan}, {Weight: 1, Make: sim.Datagrams(5353)}},
}

// Whatever the rules write assembles, is analysed and verified; on the window
// it came from it drops something, and nothing that was wanted unless the
// snapshot could not tell; and never what is not plain IPv4.
func TestCandidatesAreProgramsAndLoseNothing(t *testing.T) {
	for name, mix := range mixes {
		written := 0
		for seed := uint64(1); seed <= 12; seed++ {
			w, s := record(t, seed, mix)
			var p rules.Proposer
			text := make([]byte, abi.ProgramTextBytesMax)
			for k := 0; k < rules.Candidates; k++ {
				n := p.Propose(s, k, text)
				if n == 0 {
					continue
				}
				written++
				dropped, lost := replay(t, text[:n], w)
				if lost != 0 {
					t.Errorf("%s seed %d candidate %d: loses %d\n%s", name, seed, k, lost, text[:n])
				}
				if dropped == 0 {
					t.Errorf("%s seed %d candidate %d: drops nothing\n%s", name, seed, k, text[:n])
				}
			}
		}
		if written == 0 {
			t.Errorf("%s: nothing was proposed", name)
		}
	}
}

func replay(t *testing.T, text []byte, w *telemetry.Window) (dropped, lost int) {
	t.Helper()
	program := load(t, text)
	var machine interp.Machine
	for i := 0; i < w.Count; i++ {
		event := &w.Events[i]
		context := abi.NetRXContext{DataEnd: uint32(event.PacketBytes), FlowPackets: event.FlowPackets}
		action, _, code := program.Run(&machine, &context, event.Snap[:event.SnapBytes], int(event.PacketBytes))
		if code != abi.OK {
			t.Fatalf("event %d: %v\n%s", i, code, text)
		}
		if action != abi.NetRXDrop {
			continue
		}
		dropped++
		if w.Packets[i].Verdict == telemetry.VerdictWanted {
			lost++
		}
		if w.Packets[i].Kind == telemetry.KindOther {
			t.Errorf("drops a packet that is not plain IPv4\n%s", text)
		}
	}
	return dropped, lost
}

func load(t *testing.T, text []byte) *interp.Loaded {
	t.Helper()
	instructions := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	count, place, code := bpf.Assemble(text, instructions)
	if code != abi.OK {
		t.Fatalf("%d:%d: %v\n%s", place.Line, place.Column, code, text)
	}
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: instructions[:count]}, new(analyze.Workspace))
	if report.Code != abi.OK {
		t.Fatalf("slot %d: %v\n%s", report.Instruction, report.Code, text)
	}
	program, fault := verify.Check(analyzed, new(verify.Workspace))
	if fault.Code != abi.OK {
		t.Fatalf("slot %d: %v\n%s", fault.Instruction, fault.Code, text)
	}
	loaded := new(interp.Loaded)
	if code := interp.Load(program, loaded); code != abi.OK {
		t.Fatal(code)
	}
	return loaded
}

func TestCleanTrafficGetsNoCandidate(t *testing.T) {
	_, s := record(t, 1, sim.Mix{{Weight: 3, Make: sim.Service(80)}, {Weight: 1, Make: sim.Ping}})
	var p rules.Proposer
	text := make([]byte, abi.ProgramTextBytesMax)
	for k := 0; k < rules.Candidates; k++ {
		if n := p.Propose(s, k, text); n != 0 {
			t.Errorf("candidate %d:\n%s", k, text[:n])
		}
	}
}

func TestSameSnapshotSameText(t *testing.T) {
	_, s := record(t, 7, mixes["everything"])
	var p, q rules.Proposer
	one, two := make([]byte, abi.ProgramTextBytesMax), make([]byte, abi.ProgramTextBytesMax)
	for k := rules.Candidates - 1; k >= 0; k-- {
		q.Propose(s, k, two)
	}
	for k := 0; k < rules.Candidates; k++ {
		n, m := p.Propose(s, k, one), q.Propose(s, k, two)
		if !bytes.Equal(one[:n], two[:m]) {
			t.Errorf("candidate %d differs", k)
		}
	}
}

// A text that does not fit is no text: a cut program could mean another one.
func TestShortBufferGivesNothing(t *testing.T) {
	_, s := record(t, 7, mixes["everything"])
	var p rules.Proposer
	whole := p.Propose(s, 0, make([]byte, abi.ProgramTextBytesMax))
	for size := 0; size < whole; size += 7 {
		if n := p.Propose(s, 0, make([]byte, size)); n != 0 {
			t.Fatalf("%d bytes of %d in a buffer of %d", n, whole, size)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	_, s := record(t, 7, mixes["everything"])
	var p rules.Proposer
	text := make([]byte, abi.ProgramTextBytesMax)
	if n := testing.AllocsPerRun(5, func() {
		for k := 0; k < rules.Candidates; k++ {
			p.Propose(s, k, text)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
