package analyze

import (
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

func candidateOf(t testing.TB, text string) bpf.Candidate {
	t.Helper()
	out := make([]bpf.Instruction, 4096)
	count, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: code %d", place.Line, place.Column, code)
	}
	return bpf.Candidate{Hook: abi.HookNetRX, Instructions: out[:count]}
}

func TestMeasures(t *testing.T) {
	var w Workspace
	c := candidateOf(t, `
		r2 = 5 ll
		*(u64 *)(r10 - 16) = r2
		if r2 > 3 goto long
		r0 = 1
		exit
	long:
		r0 = 2
		r0 += 1
		r0 += 1
		exit`)
	a, report := Check(c, &w)
	if report.Code != abi.OK || report.LongestPath != 7 || report.StackBytes != 16 || report.Blocks != 3 || report.Slots != 10 {
		t.Fatalf("%+v", report)
	}
	if a.LongestPath() != 7 || a.Len() != 10 || !a.IsTarget(6) || a.IsTarget(4) {
		t.Errorf("accessors disagree")
	}
	c.Instructions[0] = bpf.Instruction{} // the proposer changes its mind too late
	out := make([]bpf.Instruction, 16)
	if a.CopyTo(out); out[0].Opcode != bpf.OpcodeWideLoad {
		t.Error("the analysed program changed with the proposer's memory")
	}
	Check(candidateOf(t, "r0 = 2\nexit"), &w)
	if a.Valid() {
		t.Error("a stale program passes for a valid one")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       abi.Code
		at         int32
	}{
		{"loop", "r0 = 0\nx: r0 += 1\nif r0 < 5 goto x\nexit", abi.ErrBackEdge, 2},
		{"self loop", "goto -1\nexit", abi.ErrBackEdge, 0},
		{"past the end", "r0 = 0\ngoto +5\nexit", abi.ErrJumpOutside, 1},
		{"before the start", "r0 = 0\ngoto -5\nexit", abi.ErrJumpOutside, 1},
		{"into a wide load", "if r1 == 0 goto +1\nr0 = 5 ll\nexit", abi.ErrJumpOutside, 0},
		{"falls through", "r0 = 1\nif r0 == 1 goto +1\nexit\nr0 = 2", abi.ErrFallsThrough, 3},
		{"unreachable", "r0 = 1\nexit\nr0 = 2\nexit", abi.ErrUnreachable, 2},
		{"writes r10", "r10 = 1\nexit", abi.ErrBadRegister, 0},
		{"loads into r10", "r10 = *(u32 *)(r1 + 0)\nexit", abi.ErrBadRegister, 0},
		{"stack too deep", "*(u8 *)(r10 - 513) = 1\nexit", abi.ErrStackBound, 0},
		{"stack above the frame", "r0 = *(u64 *)(r10 - 4)\nexit", abi.ErrStackBound, 0},
		{"helper", "call 1\nexit", abi.ErrUnknownHelper, 0},
		{"local call", "call pc+0\nexit", abi.ErrUnsupported, 0},
		{"classic packet load", "r0 = *(u8 *)skb[0]\nexit", abi.ErrUnsupported, 0},
		{"map", "r1 = map_by_fd(3) ll\nexit", abi.ErrUnsupported, 0},
		{"too costly", strings.Repeat("r0 = 1\n", 450) + "exit", abi.ErrCostBound, 451},
		{"too long", strings.Repeat("r0 = 1\n", 600) + "exit", abi.ErrTooLong, 512},
	} {
		var w Workspace
		_, report := Check(candidateOf(t, c.text), &w)
		if report.Code != c.code || report.Instruction != c.at {
			t.Errorf("%s: code %d at %d, want %d at %d", c.name, report.Code, report.Instruction, c.code, c.at)
		}
	}
	var w Workspace
	if _, report := Check(bpf.Candidate{Hook: 9, Instructions: make([]bpf.Instruction, 1)}, &w); report.Code != abi.ErrUnknownHook {
		t.Errorf("unknown hook: code %d", report.Code)
	}
	if _, report := Check(bpf.Candidate{Hook: abi.HookNetRX}, &w); report.Code != abi.ErrEmpty {
		t.Errorf("empty: code %d", report.Code)
	}
}

func TestNoAllocations(t *testing.T) {
	var w Workspace
	c := candidateOf(t, "r0 = 1\nif r0 == 1 goto +1\nr0 = 2\nexit")
	if got := testing.AllocsPerRun(50, func() { Check(c, &w) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
