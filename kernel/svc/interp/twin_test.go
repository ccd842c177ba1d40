package interp

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// The fast loop against its slow twin: every opcode of arithmetic, every
// comparison, every size of access, with the operands where results change.

var operands = []uint64{
	0, 1, 2, 7, 31, 32, 33, 63, 64, 255, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
	0x7fffffffffffffff, 1 << 63, ^uint64(0), ^uint64(1), 0x1122334455667788, 0xffffffff80000000,
}

// twins takes programs through the verifier and runs both interpreters.
type twins struct {
	analyzer analyze.Workspace
	verifier *verify.Workspace
	loaded   Loaded
	machine  Machine
	slow     Reference
	ran      int
}

// run returns false if the verifier refuses the program.
func (w *twins) run(t *testing.T, program []bpf.Instruction, packet []byte) bool {
	t.Helper()
	a, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: bpf.TypeXDP, Instructions: program}, &w.analyzer)
	if report.Code != abi.OK {
		return false
	}
	p, fault := verify.Check(a, w.verifier)
	if fault.Code != abi.OK {
		return false
	}
	if code := Load(p, &w.loaded); code != abi.OK {
		t.Fatalf("load: %v", code)
	}
	context := abi.NetRXContext{IngressIfindex: 7, RxQueueIndex: 9}
	slowPacket := append([]byte(nil), packet...)
	w.slow.Instructions, w.slow.StepsMax = program, 1000
	want, wantCode := w.slow.RunPacket(&context, slowPacket)
	got, steps, code := w.loaded.Run(&w.machine, &context, packet, len(packet))
	if got != want || code != wantCode || steps != w.slow.Steps || string(packet) != string(slowPacket) {
		text := make([]byte, 4096)
		n, _, _ := bpf.Disassemble(program, text)
		t.Fatalf("fast %#x, %d steps, %v; slow %#x, %d steps, %v\n%s", got, steps, code, want, w.slow.Steps, wantCode, text[:n])
	}
	w.ran++
	return true
}

// wide is `rN = value ll`.
func wide(register uint8, value uint64) []bpf.Instruction {
	return []bpf.Instruction{{Opcode: bpf.OpcodeWideLoad, Registers: register, Immediate: int32(uint32(value))}, {Immediate: int32(uint32(value >> 32))}}
}

func TestEveryArithmeticOpcode(t *testing.T) {
	w := &twins{verifier: verify.NewWorkspace()}
	for opcode := 0; opcode < 256; opcode++ {
		class := uint8(opcode) & 7
		if class != bpf.ClassALU && class != bpf.ClassALU64 {
			continue
		}
		before := w.ran
		for _, offset := range []int16{0, 1, 8, 16, 32} {
			for _, a := range operands {
				for _, b := range operands {
					w.arithmetic(t, bpf.Instruction{Opcode: uint8(opcode), Offset: offset}, a, b)
				}
			}
		}
		legal := bpf.Instruction{Opcode: uint8(opcode), Immediate: 16}
		if uint8(opcode)&bpf.SourceX != 0 && legal.Operation() != bpf.OperationEnd {
			legal.Immediate = 0
		}
		if legal.Operation() == bpf.OperationNeg {
			legal.Immediate = 0
		}
		if _, code := bpf.CheckSlot([]bpf.Instruction{legal}, 0); code == abi.OK && w.ran == before {
			t.Errorf("opcode %#x never ran", opcode)
		}
	}
	t.Logf("%d programs", w.ran)
}

// arithmetic runs one operation on r0 with r7 or an immediate.
func (w *twins) arithmetic(t *testing.T, instruction bpf.Instruction, a, b uint64) {
	t.Helper()
	switch {
	case instruction.Operation() == bpf.OperationEnd:
		instruction.Immediate = 16 << (b % 3)
	case instruction.Operation() == bpf.OperationNeg:
	case instruction.FromRegister():
		instruction.Registers = bpf.Registers(0, 7)
	default:
		instruction.Immediate = int32(uint32(b))
	}
	program := append(wide(0, a), wide(7, b)...)
	program = append(program, instruction, bpf.Instruction{Opcode: bpf.OpcodeExit})
	w.run(t, program, nil)
}

func TestEveryComparison(t *testing.T) {
	w := &twins{verifier: verify.NewWorkspace()}
	for opcode := 0; opcode < 256; opcode++ {
		instruction := bpf.Instruction{Opcode: uint8(opcode), Offset: 1}
		if !instruction.IsConditional() {
			continue
		}
		for _, a := range operands {
			for _, b := range operands {
				instruction.Registers, instruction.Immediate = 6, int32(uint32(b))
				if instruction.FromRegister() {
					instruction.Registers, instruction.Immediate = bpf.Registers(6, 7), 0
				}
				program := append(wide(6, a), wide(7, b)...)
				program = append(program, bpf.Instruction{Opcode: bpf.OpcodeMove, Immediate: 1}, instruction,
					bpf.Instruction{Opcode: bpf.OpcodeMove, Immediate: 2}, bpf.Instruction{Opcode: bpf.OpcodeExit})
				w.run(t, program, nil)
			}
		}
	}
	if want := 44 * len(operands) * len(operands); w.ran != want {
		t.Errorf("%d programs ran, want %d", w.ran, want)
	}
}

// TestEveryAccess: loads and stores of each size on packet and stack, with the
// packet too short, exact and long.
func TestEveryAccess(t *testing.T) {
	w := &twins{verifier: verify.NewWorkspace()}
	for _, size := range []string{"u8", "u16", "u32", "u64"} {
		for _, load := range []string{size, "s" + size[1:]} {
			if load == "s64" {
				continue
			}
			text := `r2 = *(u32 *)(r1 + 0)
				r3 = *(u32 *)(r1 + 4)
				r5 = r2
				r5 += 16
				if r5 > r3 goto short
				r6 = *(` + load + ` *)(r2 + 3)
				*(` + size + ` *)(r10 - 8) = r6
				r7 = *(` + load + ` *)(r10 - 8)
				*(` + size + ` *)(r2 + 8) = r7
				*(` + size + ` *)(r10 - 16) = -3
				r8 = *(` + load + ` *)(r10 - 16)
				r0 = r6
				r0 ^= r8
				exit
			short:
				r0 = 77
				exit`
			out := make([]bpf.Instruction, 64)
			count, place, code := bpf.Assemble([]byte(text), out)
			if code != abi.OK {
				t.Fatalf("line %d: %v", place.Line, code)
			}
			for _, bytes := range []int{0, 15, 16, 17, 60} {
				packet := make([]byte, bytes)
				for i := range packet {
					packet[i] = byte(0x81 + 37*i)
				}
				if !w.run(t, out[:count], packet) {
					t.Fatalf("%s refused", load)
				}
			}
		}
	}
}

// TestFusedPairs runs what fuse recognises, also entered in the middle.
func TestFusedPairs(t *testing.T) {
	w := &twins{verifier: verify.NewWorkspace()}
	for _, load := range []string{"r5 = *(u8 *)(r2 + 1)", "r5 = *(u16 *)(r2 + 1)", "r5 = *(u32 *)(r2 + 1)", "r5 = *(u16 *)(r2 + 1)\nr5 = be16 r5"} {
		for _, jump := range []string{"if r5 == 514 goto yes", "if r5 != 2 goto yes", "if w5 == 770 goto yes", "if w5 != -1 goto yes", "if r5 == -1 goto yes", "if r5 != 0x5040302 goto yes"} {
			text := "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\n" +
				"r7 = *(u32 *)(r1 + 12)\nr5 = 5\nif r7 == 8 goto middle\n" + load + "\nmiddle: " + jump +
				"\nr0 = 1\nexit\nyes: w0 = 2\nexit\nout: r0 = 3\nexit"
			out := make([]bpf.Instruction, 64)
			count, place, code := bpf.Assemble([]byte(text), out)
			if code != abi.OK {
				t.Fatalf("line %d: %v", place.Line, code)
			}
			for _, packet := range [][]byte{{}, {1, 2, 2, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}, {9, 9, 9, 9, 9, 9, 9, 9}} {
				if !w.run(t, out[:count], packet) {
					t.Fatalf("refused:\n%s", text)
				}
			}
		}
	}
}

// TestPrologueAndPortList: the five instructions nearly every filter begins
// with, in both orders, and a list of comparisons entered at every place.
func TestPrologueAndPortList(t *testing.T) {
	w := &twins{verifier: verify.NewWorkspace()}
	for _, loads := range []string{"r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n", "r3 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\n"} {
		for _, check := range []string{"r4 = r2\nr4 += 8\nif r4 > r3 goto out\n", "r3 = r2\nr3 += 0\nif r3 > r3 goto out\nr2 = r3\nr4 = r2\n", "r4 = r2\nr4 += -1\nif r4 > r3 goto out\n"} {
			for skip := 0; skip < 5; skip++ {
				text := loads + check + "r5 = *(u32 *)(r1 + 12)\nif r5 == 7 goto +" + string(rune('0'+skip)) +
					"\nif r5 == 1 goto a\nif r5 == 7 goto b\nif r5 == 2 goto b\nif r5 == 0x7fffffff goto b\nif r5 == -1 goto a\nr0 = 9\nexit\na: r0 = 10\nexit\nb: r0 = 11\nexit\nout: r0 = 12\nexit"
				out := make([]bpf.Instruction, 64)
				count, place, code := bpf.Assemble([]byte(text), out)
				if code != abi.OK {
					t.Fatalf("line %d: %v", place.Line, code)
				}
				for _, bytes := range []int{0, 7, 8, 9} {
					w.run(t, out[:count], make([]byte, bytes))
				}
			}
		}
	}
	if w.ran < 40 {
		t.Errorf("only %d programs were accepted", w.ran)
	}
}

func TestLoadRefusesNothing(t *testing.T) {
	var l Loaded
	if code := Load(verify.Program{}, &l); code != abi.ErrNotFound || l.Ready() {
		t.Errorf("loads what was never verified: %v", code)
	}
	if _, _, code := l.Run(&Machine{}, &abi.NetRXContext{}, nil, 0); code != abi.ErrBadValue {
		t.Errorf("runs what was never loaded: %v", code)
	}
}
