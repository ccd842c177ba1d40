package verify

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

func analyzed(t testing.TB, text string, kind bpf.Type) analyze.Analyzed {
	t.Helper()
	out := make([]bpf.Instruction, 512)
	count, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: code %d in\n%s", place.Line, place.Column, code, text)
	}
	a, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: kind, Instructions: out[:count]}, new(analyze.Workspace))
	if report.Code != abi.OK {
		t.Fatalf("analyze: code %d at %d in\n%s", report.Code, report.Instruction, text)
	}
	return a
}

// bounds checks n bytes of packet: r2 = data, r3 = data_end.
const header = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n"

const footer = "\nr0 = 2\nexit\nout: r0 = 1\nexit"

var verdicts = []struct {
	name, text string
	code       abi.Code
	at         int32
}{
	{"least program", "r0 = 2\nexit", abi.OK, -1},
	{"byte after check", header + "r4 = r2\nr4 += 14\nif r4 > r3 goto out\nr5 = *(u8 *)(r2 + 13)" + footer, abi.OK, -1},
	{"byte past check", header + "r4 = r2\nr4 += 14\nif r4 > r3 goto out\nr5 = *(u8 *)(r2 + 14)" + footer, abi.ErrPacketBounds, 5},
	{"word straddles check", header + "r4 = r2\nr4 += 14\nif r4 > r3 goto out\nr5 = *(u32 *)(r2 + 11)" + footer, abi.ErrPacketBounds, 5},
	{"no check", header + "r5 = *(u8 *)(r2 + 0)\nr0 = 2\nexit", abi.ErrPacketBounds, 2},
	{"checked on the other branch", header + "r4 = r2\nr4 += 14\nif r4 > r3 goto out\nr0 = 2\nexit\nout: r5 = *(u8 *)(r2 + 0)\nr0 = 1\nexit", abi.ErrPacketBounds, 7},
	{">= leaves one byte more", header + "r4 = r2\nr4 += 14\nif r4 >= r3 goto out\nr5 = *(u8 *)(r2 + 14)" + footer, abi.OK, -1},
	{">= leaves not two", header + "r4 = r2\nr4 += 14\nif r4 >= r3 goto out\nr5 = *(u8 *)(r2 + 15)" + footer, abi.ErrPacketBounds, 5},
	{"end < pointer", header + "r4 = r2\nr4 += 14\nif r3 < r4 goto out\nr5 = *(u8 *)(r2 + 13)" + footer, abi.OK, -1},
	{"end <= pointer", header + "r4 = r2\nr4 += 14\nif r3 <= r4 goto out\nr5 = *(u8 *)(r2 + 14)" + footer, abi.OK, -1},
	{"pointer <= end taken", header + "r4 = r2\nr4 += 14\nif r4 <= r3 goto in\nr0 = 1\nexit\nin: r5 = *(u8 *)(r2 + 13)\nr0 = 2\nexit", abi.OK, -1},
	{"pointer < end taken", header + "r4 = r2\nr4 += 14\nif r4 < r3 goto in\nr0 = 1\nexit\nin: r5 = *(u8 *)(r2 + 14)\nr0 = 2\nexit", abi.OK, -1},
	{"end >= pointer taken", header + "r4 = r2\nr4 += 14\nif r3 >= r4 goto in\nr0 = 1\nexit\nin: r5 = *(u8 *)(r2 + 13)\nr0 = 2\nexit", abi.OK, -1},
	{"end > pointer taken", header + "r4 = r2\nr4 += 14\nif r3 > r4 goto in\nr0 = 1\nexit\nin: r5 = *(u8 *)(r2 + 14)\nr0 = 2\nexit", abi.OK, -1},
	{"variable header", header + `
			r4 = r2
			r4 += 34
			if r4 > r3 goto out
			r5 = *(u8 *)(r2 + 14)
			r5 &= 15
			r5 <<= 2
			r2 += r5
			r4 = r2
			r4 += 18
			if r4 > r3 goto out
			r6 = *(u16 *)(r2 + 16)` + footer, abi.OK, -1},
	{"variable header unchecked", header + `
			r4 = r2
			r4 += 34
			if r4 > r3 goto out
			r5 = *(u8 *)(r2 + 14)
			r2 += r5
			r6 = *(u8 *)(r2 + 0)` + footer, abi.ErrPacketBounds, 7},
	{"unbounded variable", header + `
			r4 = r2
			r4 += 34
			if r4 > r3 goto out
			r5 = *(u64 *)(r2 + 14)
			r2 += r5` + footer, abi.ErrPointerMath, 6},
	{"bounded by a branch", header + `
			r4 = r2
			r4 += 34
			if r4 > r3 goto out
			r5 = *(u32 *)(r2 + 14)
			if r5 > 1000 goto out
			r2 += r5
			r4 = r2
			r4 += 1
			if r4 > r3 goto out
			r6 = *(u8 *)(r2 + 0)` + footer, abi.OK, -1},
	{"uninitialised register", "r0 = r5\nexit", abi.ErrUninitialised, 0},
	{"uninitialised on one path", "r5 = *(u32 *)(r1 + 12)\nif r5 == 1 goto out\nr0 = 2\nout: exit", abi.ErrUninitialised, 3},
	{"uninitialised stack", "r0 = *(u64 *)(r10 - 8)\nexit", abi.ErrUninitialised, 0},
	{"stack half written", "*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit", abi.ErrUninitialised, 1},
	{"stack round trip", "r2 = 2\n*(u64 *)(r10 - 8) = r2\nr0 = *(u64 *)(r10 - 8)\nexit", abi.OK, -1},
	{"spilled pointer comes back", header + "*(u64 *)(r10 - 8) = r2\nr2 = *(u64 *)(r10 - 8)\nr4 = r2\nr4 += 1\nif r4 > r3 goto out\nr5 = *(u8 *)(r2 + 0)" + footer, abi.OK, -1},
	{"range reaches a spill", header + "*(u64 *)(r10 - 8) = r2\nr4 = r2\nr4 += 1\nif r4 > r3 goto out\nr6 = *(u64 *)(r10 - 8)\nr5 = *(u8 *)(r6 + 0)" + footer, abi.OK, -1},
	{"half a spilled pointer", "*(u64 *)(r10 - 8) = r1\nr0 = *(u32 *)(r10 - 8)\nexit", abi.ErrLeak, 1},
	{"a narrow store is read back as the number", "r2 = 3\n*(u32 *)(r10 - 8) = r2\nr0 = *(u32 *)(r10 - 8)\nexit", abi.OK, -1},
	{"and as its lowest byte", "r2 = 0x101\n*(u32 *)(r10 - 8) = r2\nr0 = *(u8 *)(r10 - 8)\nexit", abi.OK, -1},
	{"a byte from the middle of a number", "r2 = 0x100\n*(u64 *)(r10 - 8) = r2\nr0 = *(u8 *)(r10 - 7)\nexit", abi.OK, -1},
	{"a narrow store cuts the number", "r2 = 0x105\n*(u8 *)(r10 - 8) = r2\nr0 = *(u8 *)(r10 - 8)\nexit", abi.ErrReturnValue, 3},
	{"a sign comes back with the width", "r2 = -1\n*(u32 *)(r10 - 8) = r2\nr0 = *(s32 *)(r10 - 8)\nr0 &= 3\nexit", abi.OK, -1},
	{"more than the narrow store is unknown", "*(u64 *)(r10 - 8) = 1\n*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit", abi.ErrReturnValue, 3},
	{"a later store beside it makes it plain bytes", "*(u64 *)(r10 - 8) = 1\n*(u8 *)(r10 - 5) = 7\nr0 = *(u32 *)(r10 - 8)\nexit", abi.ErrReturnValue, 3},
	{"a bound on the register before the narrow store", "r2 = *(u32 *)(r1 + 12)\nif r2 > 4 goto out\n*(u16 *)(r10 - 8) = r2\nr0 = *(u16 *)(r10 - 8)\nexit\nout: r0 = 2\nexit", abi.OK, -1},
	{"part of a spilled pointer overwritten", "*(u64 *)(r10 - 8) = r1\n*(u32 *)(r10 - 8) = 1\nr0 = 2\nexit", abi.ErrStackAccess, 1},
	{"misaligned stack", "*(u64 *)(r10 - 12) = 1\nr0 = 2\nexit", abi.ErrMisaligned, 0},
	{"pointer to stack out of frame", "r2 = r10\nr2 += 8\n*(u64 *)(r2 - 8) = 1\nr0 = 2\nexit", abi.ErrStackAccess, 2},
	{"subtracted from a stack pointer", "r2 = r10\nr2 -= 8\n*(u64 *)(r2 + 0) = 1\nr0 = 2\nexit", abi.ErrPointerMath, 1},
	{"return a pointer", "r0 = r1\nexit", abi.ErrLeak, 1},
	{"return too much", "r0 = 5\nexit", abi.ErrReturnValue, 1},
	{"return unknown", "r0 = *(u32 *)(r1 + 12)\nexit", abi.ErrReturnValue, 1},
	{"return masked", "r0 = *(u32 *)(r1 + 12)\nr0 &= 3\nexit", abi.OK, -1},
	{"context write", "*(u32 *)(r1 + 0) = 1\nr0 = 2\nexit", abi.ErrReadOnly, 0},
	{"context past the end", "r0 = *(u32 *)(r1 + 32)\nexit", abi.ErrContextAccess, 0},
	{"context misaligned", "r0 = *(u32 *)(r1 + 13)\nexit", abi.ErrContextAccess, 0},
	{"context narrow", "r0 = *(u16 *)(r1 + 12)\nexit", abi.ErrContextAccess, 0},
	{"context meta", "r0 = *(u32 *)(r1 + 8)\nexit", abi.ErrContextAccess, 0},
	{"pointer multiplied", "r1 *= 2\nr0 = 2\nexit", abi.ErrPointerMath, 0},
	{"pointer cut", "w2 = w1\nr0 = 2\nexit", abi.ErrLeak, 0},
	{"pointers subtracted", header + "r3 -= r2\nr0 = 2\nexit", abi.ErrPointerMath, 2},
	{"pointer compared", "if r1 == 0 goto +1\nr0 = 2\nexit", abi.ErrLeak, 0},
	{"pointer into packet", header + "r4 = r2\nr4 += 8\nif r4 > r3 goto out\n*(u64 *)(r2 + 0) = r1" + footer, abi.ErrLeak, 5},
	{"packet write", header + "r4 = r2\nr4 += 8\nif r4 > r3 goto out\n*(u64 *)(r2 + 0) = 7" + footer, abi.OK, -1},
	{"number as pointer", "r2 = 4096\nr0 = *(u8 *)(r2 + 0)\nexit", abi.ErrBadPointer, 1},
	{"read through the end", header + "r0 = *(u8 *)(r3 - 1)\nexit", abi.ErrBadPointer, 2},
	{"divide by constant zero", "r0 = 2\nr0 /= 0\nexit", abi.ErrDivideByZero, 1},
	{"shift by the width", "r0 = 2\nw0 <<= 32\nexit", abi.ErrShiftRange, 1},
	{"correlated branches", "r6 = *(u32 *)(r1 + 12)\nif r6 > 1 goto x\nr5 = 2\nx: r0 = 1\nif r6 > 1 goto y\nr0 = r5\ny: exit", abi.OK, -1},
	{"linked copies", "r6 = *(u32 *)(r1 + 12)\nr7 = r6\nif r6 > 4 goto out\nr0 = r7\nexit\nout: r0 = 1\nexit", abi.OK, -1},
	{"32-bit bounds", "r6 = *(u32 *)(r1 + 12)\nif w6 > 4 goto out\nw0 = w6\nexit\nout: r0 = 1\nexit", abi.OK, -1},
	{"signed bounds", "r6 = *(u32 *)(r1 + 12)\nif w6 s> 4 goto out\nw0 = w6\nexit\nout: r0 = 1\nexit", abi.ErrReturnValue, 3},
	{"dead branch", "r0 = 2\nif r0 == 2 goto +1\nr0 = r9\nexit", abi.OK, -1},
}

func TestVerdicts(t *testing.T) {
	w := NewWorkspace()
	for _, c := range verdicts {
		_, fault := Check(analyzed(t, c.text, bpf.TypeHook), w)
		if fault.Code != c.code || fault.Instruction != c.at {
			t.Errorf("%s: code %d at %d, want %d at %d (r%d wanted %d found %d)", c.name, fault.Code, fault.Instruction, c.code, c.at, fault.Register, fault.Wanted, fault.Found)
		}
	}
}

func TestTypes(t *testing.T) {
	w := NewWorkspace()
	const flowAge = "r0 = *(u32 *)(r1 + 28)\nr0 &= 1\nexit"
	if _, fault := Check(analyzed(t, flowAge, bpf.TypeHook), w); fault.Code != abi.OK {
		t.Errorf("our hook has a flow age: code %d", fault.Code)
	}
	if _, fault := Check(analyzed(t, flowAge, bpf.TypeXDP), w); fault.Code != abi.ErrContextAccess {
		t.Errorf("xdp has none: code %d", fault.Code)
	}
	if _, fault := Check(analyzed(t, "r0 = 77\nexit", bpf.TypeXDP), w); fault.Code != abi.OK {
		t.Errorf("xdp may return anything: code %d", fault.Code)
	}
}

func TestLenient(t *testing.T) {
	w := NewWorkspace()
	w.Rules = RulesLenient
	for _, text := range []string{
		header + "r3 -= r2\nr0 = 2\nexit",
		"if r1 == 0 goto +1\nr0 = 2\nr0 = 2\nexit",
		"w2 = w1\nr0 = 2\nexit",
		"r2 = (s8)r1\nr0 = 2\nexit",
		"w1 -= w10\nr0 = 2\nexit",
		"r1 = -r1\nr0 = 2\nexit",
		"*(u64 *)(r10 - 8) = r1\n*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit",
	} {
		if _, fault := Check(analyzed(t, text, bpf.TypeXDP), w); fault.Code != abi.OK {
			t.Errorf("code %d at %d in\n%s", fault.Code, fault.Instruction, text)
		}
	}
}

func TestHandles(t *testing.T) {
	w := NewWorkspace()
	first, _ := Check(analyzed(t, "r0 = 2\nexit", bpf.TypeHook), w)
	if !first.Valid() || first.Len() != 2 || first.At(0).Immediate != 2 || first.LongestPath() != 2 {
		t.Fatal("the program is not what was verified")
	}
	for i := 0; i < programsMax; i++ {
		Check(analyzed(t, "r0 = 1\nexit", bpf.TypeHook), w)
	}
	if first.Valid() {
		t.Error("a handle outlives its program")
	}
	if _, fault := Check(analyze.Analyzed{}, w); fault.Code != abi.ErrBadValue {
		t.Errorf("nothing passes as analysed: code %d", fault.Code)
	}
}

func TestNoAllocations(t *testing.T) {
	w := NewWorkspace()
	a := analyzed(t, header+"r4 = r2\nr4 += 14\nif r4 > r3 goto out\nr5 = *(u8 *)(r2 + 13)\nif r5 == 6 goto out"+footer, bpf.TypeHook)
	if got := testing.AllocsPerRun(50, func() { Check(a, w) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkCheck reports what one processed instruction costs.
func BenchmarkCheck(b *testing.B) {
	w := NewWorkspace()
	a := analyzed(b, header+"r4 = r2\nr4 += 34\nif r4 > r3 goto out\nr5 = *(u8 *)(r2 + 23)\nif r5 == 6 goto out\nr5 = *(u16 *)(r2 + 12)\nr5 = be16 r5\nif r5 != 0x800 goto out\nr6 = *(u32 *)(r2 + 26)\nif w6 == 5 goto out"+footer, bpf.TypeHook)
	processed := uint32(0)
	for i := 0; i < b.N; i++ {
		_, fault := Check(a, w)
		processed += fault.Processed
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(processed), "ns/insn")
}
