package pipeline_test

import (
	"runtime"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/sim"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// assemble gives a program in wire format.
func assemble(t testing.TB, text string) []byte {
	t.Helper()
	out := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	n, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: %v", place.Line, place.Column, code)
	}
	wire := make([]byte, n*bpf.SlotBytes)
	bpf.Encode(out[:n], wire)
	return wire
}

func TestInstallJobGoesThroughAnalyzeAndVerify(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       abi.Code
		stage      abi.Stage
	}{
		{"drop all, a planted loser", "r0 = 1\nexit", abi.OK, abi.StageDeploy},
		{"empty program", "r0 = 2\nexit", abi.OK, abi.StageDeploy},
		{"loop", "r0 = 1\nx: r0 += 1\nif r0 < 5 goto x\nexit", abi.ErrBackEdge, abi.StageAnalyze},
		{"wild load", "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 0)\nexit", abi.ErrPacketBounds, abi.StageVerify},
	} {
		k := sim.New(1, 2)
		index, reply := k.Pipeline.InstallJob(assemble(t, c.text))
		if reply.Code != c.code || reply.Stage != uint32(c.stage) || (index != 0) != (c.code == abi.OK) {
			t.Errorf("%s: %v by %v at %d", c.name, reply.Code, abi.Stage(reply.Stage), index)
		}
		packet := make([]byte, 64)
		context := abi.NetRXContext{DataEnd: 64}
		action, code := k.Pipeline.Decide(1, uint32(index), &context, packet)
		if c.code == abi.OK && (code != abi.OK || action != abi.NetRXDrop && action != abi.NetRXPass) {
			t.Errorf("%s: decides %d, %v", c.name, action, code)
		}
		if c.code != abi.OK && code != abi.ErrNotFound {
			t.Errorf("%s: something runs: %v", c.name, code)
		}
		k.Close()
	}
	k := sim.New(1, 1)
	defer k.Close()
	if _, reply := k.Pipeline.InstallJob(make([]byte, 12)); reply.Code == abi.OK {
		t.Error("a program and a half")
	}
	if _, reply := k.Pipeline.InstallJob(nil); reply.Code == abi.OK {
		t.Error("no program")
	}
}

// A program that came with a live job is watched like any other: kept while it
// does no harm, taken back when it does.
func TestJobProgramIsWatched(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       abi.Code
	}{
		{"drop all", "r0 = 1\nexit", abi.ErrLossBudget},
		{"pass all", "r0 = 2\nexit", abi.OK},
	} {
		k := sim.New(6, 2)
		k.Serve()
		k.Pipeline.SetSilent(true)
		if _, reply := k.Pipeline.InstallJob(assemble(t, c.text)); reply.Code != abi.OK {
			t.Fatal(reply.Code)
		}
		k.Run(sim.Office(), 5_000)
		last := abi.Record{}
		for _, r := range k.Records {
			if r.Stage == abi.StageMonitor {
				last = r
			}
		}
		if last.Code != c.code || (c.code == abi.OK) != (last.Verdict == abi.VerdictKept) {
			t.Errorf("%s: %v %v", c.name, last.Verdict, last.Code)
		}
		k.Close()
	}
}

// One call of Pump never does more than a bounded piece of work: counted as
// events it takes off the rings.
type counting struct {
	*sim.Kernel
	reads int
}

func (c *counting) RingRead(cpu int, event *abi.NetRXEvent) bool {
	c.reads++
	return c.Kernel.RingRead(cpu, event)
}

func TestPumpIsBounded(t *testing.T) {
	k := sim.New(2, 4)
	defer k.Close()
	k.Serve()
	k.PumpTime = 1 << 40 // the rings overflow
	k.Run(sim.Office(), 20_000)
	c := &counting{Kernel: k}
	previous := rt.SetBackend(c)
	defer rt.SetBackend(previous)
	for pumps := 0; pumps < 200; pumps++ {
		c.reads = 0
		k.Pipeline.Pump(uint64(pumps) * 1000)
		if c.reads > 64+4 {
			t.Fatalf("pump %d looked at the rings %d times", pumps, c.reads)
		}
	}
	for _, broken := range k.Check() {
		t.Error(broken)
	}
}

func TestSilentPipelineProposesNothing(t *testing.T) {
	k := sim.New(3, 2)
	defer k.Close()
	k.Serve()
	k.Pipeline.SetSilent(true)
	k.Run(sim.Office().With(200, sim.Scan), 20_000)
	if len(k.Records) != 0 || k.Pipeline.Rounds() != 0 {
		t.Errorf("%d records", len(k.Records))
	}
}

func TestNoAllocations(t *testing.T) {
	k := sim.New(4, 2)
	defer k.Close()
	program := assemble(t, "r0 = 2\nexit")
	packet := make([]byte, 64)
	context := abi.NetRXContext{DataEnd: 64}
	request := abi.InstallRequest{Hook: uint32(abi.HookNetRX), ProgramBytes: uint32(len(program))}
	k.Pipeline.InstallJob(program)
	if n := testing.AllocsPerRun(100, func() {
		k.Pipeline.Decide(0, 1, &context, packet)
		k.Pipeline.Install(1, &request, program)
		k.Pipeline.ResetCPU(0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The inbox is the one place where two threads meet: the control thread sends
// while the pipeline pumps. Meant for -race.
func TestRequestsFromAnotherThread(t *testing.T) {
	k := sim.New(5, 2)
	defer k.Close()
	k.Serve()
	k.Pipeline.SetSilent(true)
	program := assemble(t, "r0 = 1\nexit")
	request := abi.InstallRequest{Hook: uint32(abi.HookNetRX), ProgramBytes: uint32(len(program))}
	sent, stop, done := uint32(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for sequence := uint32(1); ; {
			select {
			case <-stop:
				return
			default:
			}
			if k.Pipeline.Install(sequence, &request, program) == abi.OK {
				sent++
				sequence++
			}
			if k.Pipeline.Rollback(sequence, uint32(abi.HookNetRX)) == abi.OK {
				sent++
				sequence++
			}
			runtime.Gosched()
		}
	}()
	for len(k.Replies) < 20 {
		k.Run(sim.Office(), 500)
	}
	close(stop)
	<-done
	k.Run(sim.Office(), 5_000)
	if uint32(len(k.Replies)) != sent {
		t.Errorf("%d requests, %d replies", sent, len(k.Replies))
	}
	for _, broken := range k.Check() {
		t.Error(broken)
	}
}
