package main

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RFC 9669, instruction by instruction, through the command: programs as
// hexadecimal on stdin, memory as an argument, r0 on stdout. The tables are
// written from the RFC's text; opcodes are numbers, so that no assembler of
// ours stands between. One run in processEvery is a process of the built
// command, as a user starts it; the others enter it at execute.

// slot encodes one instruction.
func slot(opcode, destination, source int, offset int16, immediate int32) string {
	u, o := uint32(immediate), uint16(offset)
	return hex.EncodeToString([]byte{byte(opcode), byte(source<<4 | destination), byte(o), byte(o >> 8),
		byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)})
}

// wide is `rN = value ll` (section 5.4).
func wide(register int, value uint64) string {
	return slot(0x18, register, 0, 0, int32(uint32(value))) + slot(0, 0, 0, 0, int32(uint32(value>>32)))
}

const exitSlot = "9500000000000000"

// conformanceCase is one run: want is r0 as printed, or "refused".
type conformanceCase struct {
	name, program, memory, want string
}

const processEvery = 10

func runConformance(t *testing.T, cases []conformanceCase) {
	t.Helper()
	command := filepath.Join(t.TempDir(), "lab")
	if out, err := exec.Command("go", "build", "-o", command, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for index, c := range cases {
		code, stdout, stderr := runLab(t, c.program, "bpf", "run", c.memory)
		if index%processEvery == 0 {
			var out, diagnosis strings.Builder
			process := exec.Command(command, "bpf", "run", c.memory)
			process.Stdin, process.Stdout, process.Stderr = strings.NewReader(c.program), &out, &diagnosis
			if err := process.Run(); err != nil && process.ProcessState == nil {
				t.Fatal(err)
			}
			if code != process.ProcessState.ExitCode() || stdout != out.String() {
				t.Errorf("%s: the process ends with %d and %q, execute with %d and %q", c.name, process.ProcessState.ExitCode(), out.String(), code, stdout)
			}
		}
		switch {
		case c.want == "refused" && (code != exitFail || stdout != "" || !strings.Contains(stderr, "instruction ")):
			t.Errorf("%s: code %d, %q, %q; want a refusal that names the instruction", c.name, code, stdout, stderr)
		case c.want != "refused" && (code != exitPass || stdout != c.want+"\n"):
			t.Errorf("%s: got %q, want %s (code %d, %s)", c.name, stdout, c.want, code, stderr)
		}
	}
	t.Logf("%d runs", len(cases))
}

// arithmeticRow is an operation of section 4.1 on two numbers: the result in
// the 64-bit class and in the 32-bit class. It is run with a register and,
// where the second number is an immediate, with that.
type arithmeticRow struct {
	section        string
	operation      int
	offset         int16 // 1: signed division and modulo
	first, second  uint64
	want64, want32 uint64
}

const (
	minus1  = ^uint64(0)
	lowest  = uint64(1) << 63
	lowest2 = uint64(1) << 31 // of 32 bits
)

func negative(value uint64) uint64 { return -value }

var arithmeticRows = []arithmeticRow{
	{"4.1 ADD wraps", 0x00, 0, minus1, 1, 0, 0},
	{"4.1 ADD carries past 32 bits", 0x00, 0, 0xffffffff, 1, 0x100000000, 0},
	{"4.1 ADD immediate is sign-extended", 0x00, 0, 5, negative(7), negative(2), 0xfffffffe},
	{"4.1 SUB wraps", 0x10, 0, 0, 1, minus1, 0xffffffff},
	{"4.1 SUB of the lowest", 0x10, 0, lowest, 1, 0x7fffffffffffffff, 0xffffffff},
	{"4.1 MUL", 0x20, 0, 0x100000001, 3, 0x300000003, 3},
	{"4.1 MUL wraps", 0x20, 0, minus1, minus1, 1, 1},
	{"4.1 MUL upper half", 0x20, 0, 0x80000000, 2, 0x100000000, 0},
	{"4.1 DIV is unsigned", 0x30, 0, negative(2), 2, 0x7fffffffffffffff, 0x7fffffff},
	{"4.1 DIV by zero is 0", 0x30, 0, 0xffffffff00000007, 0, 0, 0},
	{"4.1 DIV immediate sign-extended, then unsigned", 0x30, 0, minus1, negative(3), 1, 1},
	{"4.1 DIV 32-bit ignores upper halves", 0x30, 0, 0x500000064, 0xa, 0x8000000a, 0xa},
	{"4.1 SDIV rounds to zero", 0x30, 1, negative(10), 3, negative(3), 0xfffffffd},
	{"4.1 SDIV negative divisor", 0x30, 1, 10, negative(3), negative(3), 0xfffffffd},
	{"4.1 SDIV by zero is 0", 0x30, 1, negative(7), 0, 0, 0},
	{"4.1 SDIV of the lowest by -1", 0x30, 1, lowest, minus1, lowest, 0},
	{"4.1 SDIV of the lowest of 32 bits by -1", 0x30, 1, lowest2, minus1, negative(lowest2), lowest2},
	{"4.1 MOD", 0x90, 0, 10, 3, 1, 1},
	{"4.1 MOD is unsigned", 0x90, 0, minus1, negative(3), 2, 2},
	{"4.1 MOD by zero keeps dst, 32-bit zero-extended", 0x90, 0, 0xffffffff00000007, 0, 0xffffffff00000007, 7},
	{"4.1 SMOD has the dividend's sign", 0x90, 1, negative(13), 3, minus1, 0xffffffff},
	{"4.1 SMOD negative divisor", 0x90, 1, 13, negative(3), 1, 1},
	{"4.1 SMOD of the lowest by -1", 0x90, 1, lowest, minus1, 0, 0},
	{"4.1 SMOD of the lowest of 32 bits by -1", 0x90, 1, lowest2, minus1, 0, 0},
	{"4.1 SMOD by zero keeps dst, 32-bit zero-extended", 0x90, 1, negative(lowest2) + 1, 0, negative(lowest2) + 1, lowest2 + 1},
	{"4.1 OR", 0x40, 0, 0xf0f0f0f0f0f0f0f0, 0x0ff00ff0, 0xf0f0f0f0fff0fff0, 0xfff0fff0},
	{"4.1 OR immediate sign-extended", 0x40, 0, 0, negative(lowest2), negative(lowest2), lowest2},
	{"4.1 AND", 0x50, 0, 0xf0f0f0f0f0f0f0f0, 0x0ff00ff0, 0x00f000f0, 0x00f000f0},
	{"4.1 AND immediate sign-extended", 0x50, 0, 0xf0f0f0f0f0f0f0f0, negative(16), 0xf0f0f0f0f0f0f0f0, 0xf0f0f0f0},
	{"4.1 XOR", 0xa0, 0, 0xf0f0f0f0f0f0f0f0, 0x0ff00ff0, 0xf0f0f0f0ff00ff00, 0xff00ff00},
	{"4.1 XOR immediate sign-extended", 0xa0, 0, 0, minus1, minus1, 0xffffffff},
	{"4.1 LSH, count masked with 0x3f or 0x1f", 0x60, 0, 1, 63, lowest, lowest2},
	{"4.1 LSH by the width", 0x60, 0, 1, 64, 1, 1},
	{"4.1 LSH by more than 32", 0x60, 0, 1, 33, 0x200000000, 2},
	{"4.1 LSH by -1", 0x60, 0, 1, minus1, lowest, lowest2},
	{"4.1 LSH 32-bit drops the top", 0x60, 0, 0xffffffff80000001, 1, 0xffffffff00000002, 2},
	{"4.1 RSH", 0x70, 0, lowest, 63, 1, 0},
	{"4.1 RSH fills with zeros", 0x70, 0, 0xffffffff80000000, 31, 0x1ffffffff, 1},
	{"4.1 RSH by 32", 0x70, 0, 0xffffffff80000000, 32, 0xffffffff, lowest2},
	{"4.1 RSH by the width", 0x70, 0, 0xffffffff80000000, 64, 0xffffffff80000000, lowest2},
	{"4.1 ARSH fills with the sign", 0xc0, 0, lowest, 63, minus1, 0},
	{"4.1 ARSH takes the sign of its own width", 0xc0, 0, lowest2, 31, 1, 0xffffffff},
	{"4.1 ARSH, count masked", 0xc0, 0, 0xffffffff80000000, 68, 0xfffffffff8000000, 0xf8000000},
	{"4.1 MOV immediate sign-extended, 32-bit zero-extended", 0xb0, 0, 7, minus1, minus1, 0xffffffff},
	{"4.1 MOV", 0xb0, 0, 7, 0x1234567812345678, 0x1234567812345678, 0x12345678},
}

func TestConformanceArithmetic(t *testing.T) {
	var cases []conformanceCase
	add := func(name, program string, want uint64) {
		cases = append(cases, conformanceCase{name, program, "", fmt.Sprintf("%x", want)})
	}
	for _, row := range arithmeticRows {
		start := wide(0, row.first) + wide(2, row.second)
		add(row.section+", base64, register", start+slot(row.operation|0x0f, 0, 2, row.offset, 0)+exitSlot, row.want64)
		add(row.section+", base32, register", start+slot(row.operation|0x0c, 0, 2, row.offset, 0)+exitSlot, row.want32)
		if immediate := int32(uint32(row.second)); uint64(int64(immediate)) == row.second {
			add(row.section+", base64, immediate", start+slot(row.operation|0x07, 0, 0, row.offset, immediate)+exitSlot, row.want64)
			add(row.section+", base32, immediate", start+slot(row.operation|0x04, 0, 0, row.offset, immediate)+exitSlot, row.want32)
		}
	}
	for _, row := range []struct {
		name    string
		opcode  int
		offset  int16
		operand int32
		value   uint64
		want    uint64
	}{
		{"4.1 NEG base64", 0x87, 0, 0, 1, minus1},
		{"4.1 NEG base64 of the lowest", 0x87, 0, 0, lowest, lowest},
		{"4.1 NEG base32", 0x84, 0, 0, 0xffffffff00000001, 0xffffffff},
		{"4.1 NEG base32 of 0", 0x84, 0, 0, 0xffffffff00000000, 0},
		{"4.2 le16 cuts", 0xd4, 0, 16, 0x0123456789abcdef, 0xcdef},
		{"4.2 le32 cuts", 0xd4, 0, 32, 0x0123456789abcdef, 0x89abcdef},
		{"4.2 le64 keeps", 0xd4, 0, 64, 0x0123456789abcdef, 0x0123456789abcdef},
		{"4.2 be16", 0xdc, 0, 16, 0x0123456789abcdef, 0xefcd},
		{"4.2 be32", 0xdc, 0, 32, 0x0123456789abcdef, 0xefcdab89},
		{"4.2 be64", 0xdc, 0, 64, 0x0123456789abcdef, 0xefcdab8967452301},
		{"4.2 bswap16", 0xd7, 0, 16, 0x0123456789abcdef, 0xefcd},
		{"4.2 bswap32", 0xd7, 0, 32, 0x0123456789abcdef, 0xefcdab89},
		{"4.2 bswap64", 0xd7, 0, 64, 0x0123456789abcdef, 0xefcdab8967452301},
	} {
		add(row.name, wide(0, row.value)+slot(row.opcode, 0, 0, row.offset, row.operand)+exitSlot, row.want)
	}
	for _, row := range []struct {
		name   string
		opcode int
		width  int16
		value  uint64
		want   uint64
	}{
		{"4.1 MOVSX 8 to 64", 0xbf, 8, 0x1080, negative(0x80)},
		{"4.1 MOVSX 8 to 64 positive", 0xbf, 8, 0x17f, 0x7f},
		{"4.1 MOVSX 16 to 64", 0xbf, 16, 0x18000, negative(0x8000)},
		{"4.1 MOVSX 32 to 64", 0xbf, 32, 0x180000000, negative(0x80000000)},
		{"4.1 MOVSX 8 to 32 zero-extended", 0xbc, 8, 0x1080, 0xffffff80},
		{"4.1 MOVSX 16 to 32 zero-extended", 0xbc, 16, 0x18000, 0xffff8000},
	} {
		add(row.name, wide(0, minus1)+wide(2, row.value)+slot(row.opcode, 0, 2, row.width, 0)+exitSlot, row.want)
	}
	runConformance(t, cases)
}

// jumpRow is a comparison of section 4.3: is the jump taken, in each class?
type jumpRow struct {
	name           string
	operation      int
	first, second  uint64
	want64, want32 bool
}

var jumpRows = []jumpRow{
	{"JEQ equal", 0x10, 1, 1, true, true},
	{"JEQ upper halves differ", 0x10, 0x100000001, 1, false, true},
	{"JEQ immediate sign-extended", 0x10, minus1, minus1, true, true},
	{"JGT unsigned", 0x20, minus1, 1, true, true},
	{"JGT equal", 0x20, 1, 1, false, false},
	{"JGT upper half", 0x20, 0x100000000, 1, true, false},
	{"JGE equal", 0x30, 1, 1, true, true},
	{"JGE less", 0x30, 0, 1, false, false},
	{"JGE upper half", 0x30, 0x100000000, 1, true, false},
	{"JSET common bit", 0x40, 6, 2, true, true},
	{"JSET none", 0x40, 6, 1, false, false},
	{"JSET sign-extended immediate", 0x40, lowest, negative(lowest2), true, false},
	{"JNE equal", 0x50, 1, 1, false, false},
	{"JNE upper halves differ", 0x50, 0x100000001, 1, true, false},
	{"JSGT", 0x60, 0, minus1, true, true},
	{"JSGT negative", 0x60, minus1, 0, false, false},
	{"JSGT sign of its own width", 0x60, lowest2, 0, true, false},
	{"JSGE equal", 0x70, minus1, minus1, true, true},
	{"JSGE less", 0x70, negative(2), minus1, false, false},
	{"JSGE sign of its own width", 0x70, lowest2, 0, true, false},
	{"JLT unsigned", 0xa0, 1, minus1, true, true},
	{"JLT equal", 0xa0, 1, 1, false, false},
	{"JLT upper half", 0xa0, 0x100000000, 1, false, true},
	{"JLE equal", 0xb0, 1, 1, true, true},
	{"JLE greater", 0xb0, 2, 1, false, false},
	{"JLE upper half", 0xb0, 0x100000000, 1, false, true},
	{"JSLT", 0xc0, minus1, 0, true, true},
	{"JSLT equal", 0xc0, 0, 0, false, false},
	{"JSLT sign of its own width", 0xc0, lowest2, 0, false, true},
	{"JSLE equal", 0xd0, 0, 0, true, true},
	{"JSLE greater", 0xd0, 0, minus1, false, false},
	{"JSLE sign of its own width", 0xd0, lowest2, 0, false, true},
}

func TestConformanceJumps(t *testing.T) {
	var cases []conformanceCase
	for _, row := range jumpRows {
		for _, class := range []struct {
			name   string
			number int
			want   bool
		}{{"base64", 0x05, row.want64}, {"base32", 0x06, row.want32}} {
			run := func(form, jump string) {
				program := wide(1, row.first) + wide(2, row.second) + slot(0xb7, 0, 0, 0, 1) + jump + slot(0xb7, 0, 0, 0, 0) + exitSlot
				want := "0"
				if class.want {
					want = "1"
				}
				cases = append(cases, conformanceCase{"4.3 " + row.name + ", " + class.name + ", " + form, program, "", want})
			}
			run("register", slot(row.operation|class.number|0x08, 1, 2, 1, 0))
			if immediate := int32(uint32(row.second)); uint64(int64(immediate)) == row.second {
				run("immediate", slot(row.operation|class.number, 1, 0, 1, immediate))
			}
		}
	}
	two := slot(0xb7, 0, 0, 0, 2)
	cases = append(cases,
		conformanceCase{"4.3 JA base64", two + slot(0x05, 0, 0, 1, 0) + slot(0xb7, 0, 0, 0, 3) + exitSlot, "", "2"},
		conformanceCase{"4.3 JA base32 jumps by the immediate", two + slot(0x06, 0, 0, 0, 1) + slot(0xb7, 0, 0, 0, 3) + exitSlot, "", "2"},
		conformanceCase{"4.3 JA base32 backwards", slot(0x05, 0, 0, 2, 0) + slot(0xb7, 0, 0, 0, 9) + exitSlot + slot(0x06, 0, 0, 0, -3), "", "9"},
		conformanceCase{"4.3 a loop: 5+4+3+2+1", slot(0xb7, 0, 0, 0, 0) + slot(0xb7, 1, 0, 0, 5) + slot(0x0f, 0, 1, 0, 0) +
			slot(0x07, 1, 0, 0, -1) + slot(0x55, 1, 0, -3, 0) + exitSlot, "", "f"},
		conformanceCase{"4.3 JA out of the program", two + slot(0x05, 0, 0, 7, 0) + exitSlot, "", "refused"},
		conformanceCase{"4.3 JA before the program", two + slot(0x05, 0, 0, -7, 0) + exitSlot, "", "refused"},
		conformanceCase{"4.3 no exit", two, "", "refused"},
	)
	runConformance(t, cases)
}

func TestConformanceMemory(t *testing.T) {
	const memory = "80 81 82 83 84 85 86 87\n"
	load := func(opcode int, offset int16) string { return slot(opcode, 0, 1, offset, 0) + exitSlot }
	stored := slot(0x79, 0, 1, 0, 0) + exitSlot // r0 = *(u64 *)(r1 + 0)
	stack := func(offset int16) string {
		return slot(0x7a, 10, 0, offset, -2) + slot(0x79, 0, 10, offset, 0) + exitSlot
	}
	runConformance(t, []conformanceCase{
		{"5.2 LDX byte", load(0x71, 7), memory, "87"},
		{"5.2 LDX half-word is little-endian", load(0x69, 1), memory, "8281"},
		{"5.2 LDX word zero-extended", load(0x61, 4), memory, "87868584"},
		{"5.2 LDX double word", load(0x79, 0), memory, "8786858483828180"},
		{"5.3 LDXSX byte", load(0x91, 0), memory, "ffffffffffffff80"},
		{"5.3 LDXSX half-word", load(0x89, 0), memory, "ffffffffffff8180"},
		{"5.3 LDXSX word", load(0x81, 0), memory, "ffffffff83828180"},
		{"5.3 LDXSX positive", load(0x81, 0), "01020304", "4030201"},
		{"5.2 STX byte", wide(3, 0x1122334455667788) + slot(0x73, 1, 3, 1, 0) + stored, memory, "8786858483828880"},
		{"5.2 STX half-word", wide(3, 0x1122334455667788) + slot(0x6b, 1, 3, 6, 0) + stored, memory, "7788858483828180"},
		{"5.2 STX word", wide(3, 0x1122334455667788) + slot(0x63, 1, 3, 2, 0) + stored, memory, "8786556677888180"},
		{"5.2 STX double word", wide(3, 0x1122334455667788) + slot(0x7b, 1, 3, 0, 0) + stored, memory, "1122334455667788"},
		{"5.2 ST byte", slot(0x72, 1, 0, 7, 0x1ff) + stored, memory, "ff86858483828180"},
		{"5.2 ST half-word", slot(0x6a, 1, 0, 0, 0x12345) + stored, memory, "8786858483822345"},
		{"5.2 ST word", slot(0x62, 1, 0, 0, -1) + stored, memory, "87868584ffffffff"},
		{"5.2 ST double word sign-extends", slot(0x7a, 1, 0, 0, -2) + stored, memory, "fffffffffffffffe"},
		{"5.4 64-bit immediate", wide(0, 0xfedcba9876543210) + exitSlot, "", "fedcba9876543210"},
		{"2 r2 is the length", slot(0xbf, 0, 2, 0, 0) + exitSlot, memory, "8"},
		{"2 r2 of no memory", slot(0xbf, 0, 2, 0, 0) + exitSlot, "", "0"},
		{"2 stack, highest place", stack(-8), "", "fffffffffffffffe"},
		{"2 stack, lowest place", stack(-512), "", "fffffffffffffffe"},
		{"2 below the stack", stack(-520), "", "refused"},
		{"2 straddling the stack's bottom", stack(-513), "", "refused"},
		{"2 above the stack", stack(0), "", "refused"},
		{"2 straddling the stack's top", stack(-4), "", "refused"},
		{"2 r10 is read-only: move", slot(0xb7, 10, 0, 0, 1) + exitSlot, "", "refused"},
		{"2 r10 is read-only: add", slot(0x07, 10, 0, 0, -8) + exitSlot, "", "refused"},
		{"2 r10 is read-only: load", slot(0x79, 10, 1, 0, 0) + exitSlot, memory, "refused"},
		{"2 r10 is read-only: wide", wide(10, 1) + exitSlot, "", "refused"},
		{"5.2 behind the memory", load(0x79, 1), memory, "refused"},
		{"5.2 before the memory", load(0x71, -1), memory, "refused"},
		{"5.2 memory that is not there", load(0x71, 0), "", "refused"},
		{"5.4 a map", slot(0x18, 0, 1, 0, 0) + slot(0, 0, 0, 0, 0) + exitSlot, "", "refused"},
		{"5.5 packet load, absolute", slot(0x30, 0, 0, 0, 0) + exitSlot, memory, "refused"},
		{"5.5 packet load, indirect", slot(0x48, 0, 2, 0, 0) + exitSlot, memory, "refused"},
		{"3 reserved operation", slot(0xe7, 0, 0, 0, 0) + exitSlot, "", "refused"},
		{"3 register r11", slot(0xbf, 0, 11, 0, 0) + exitSlot, "", "refused"},
		{"4.1 MOVSX of 24 bits", slot(0xbf, 0, 1, 24, 0) + exitSlot, "", "refused"},
	})
}

// atomicRow is an operation of section 5.3 on the memory ffffffff00000005 with
// r3 = 3 and r0 = 5: what the memory, r3 and r0 hold afterwards.
type atomicRow struct {
	name              string
	size, operation   int
	memory, r3, r0    uint64
	secondOfRegisters uint64 // r3 before
}

func TestConformanceAtomics(t *testing.T) {
	const before = uint64(0xffffffff00000005)
	const word, double = 0xc3, 0xdb
	memory := "05000000ffffffff"
	var cases []conformanceCase
	for _, row := range []atomicRow{
		{"atomic64 ADD", double, 0x00, before + 3, 3, 5, 3},
		{"atomic64 OR", double, 0x40, before | 3, 3, 5, 3},
		{"atomic64 AND", double, 0x50, 1, 3, 5, 3},
		{"atomic64 XOR", double, 0xa0, before ^ 3, 3, 5, 3},
		{"atomic64 fetch ADD", double, 0x01, before + 3, before, 5, 3},
		{"atomic64 fetch OR", double, 0x41, before | 3, before, 5, 3},
		{"atomic64 fetch AND", double, 0x51, 1, before, 5, 3},
		{"atomic64 fetch XOR", double, 0xa1, before ^ 3, before, 5, 3},
		{"atomic64 XCHG", double, 0xe1, 3, before, 5, 3},
		{"atomic64 CMPXCHG of another", double, 0xf1, before, 3, before, 3},
		{"atomic32 ADD wraps in its word", word, 0x00, 0xffffffff00000004, minus1, 5, minus1},
		{"atomic32 OR", word, 0x40, 0xffffffff00000007, 3, 5, 3},
		{"atomic32 AND", word, 0x50, 0xffffffff00000001, 3, 5, 3},
		{"atomic32 XOR", word, 0xa0, 0xffffffff00000006, 3, 5, 3},
		{"atomic32 fetch ADD zero-extends", word, 0x01, 0xffffffff00000004, 5, 5, minus1},
		{"atomic32 fetch OR", word, 0x41, 0xffffffff00000007, 5, 5, 3},
		{"atomic32 fetch AND", word, 0x51, 0xffffffff00000001, 5, 5, 3},
		{"atomic32 fetch XOR", word, 0xa1, 0xffffffff00000006, 5, 5, 3},
		{"atomic32 XCHG", word, 0xe1, 0xffffffff00000003, 5, 5, 3},
		{"atomic32 CMPXCHG of the same", word, 0xf1, 0xffffffff00000003, 3, 5, 3},
	} {
		start := slot(0xb7, 0, 0, 0, 5) + wide(3, row.secondOfRegisters) + slot(row.size, 1, 3, 0, int32(row.operation))
		for _, place := range []struct {
			name, program string
			want          uint64
		}{
			{"memory", slot(0x79, 0, 1, 0, 0), row.memory},
			{"source register", slot(0xbf, 0, 3, 0, 0), row.r3},
			{"r0", "", row.r0},
		} {
			cases = append(cases, conformanceCase{"5.3 " + row.name + ", " + place.name, start + place.program + exitSlot, memory, fmt.Sprintf("%x", place.want)})
		}
	}
	cases = append(cases,
		conformanceCase{"5.3 CMPXCHG 64 of the same", wide(0, before) + slot(0xb7, 3, 0, 0, 3) + slot(double, 1, 3, 0, 0xf1) + slot(0x79, 0, 1, 0, 0) + exitSlot, memory, "3"},
		conformanceCase{"5.3 CMPXCHG 32 compares lower halves, r0 zero-extended", wide(0, 0x900000005) + slot(0xb7, 3, 0, 0, 3) + slot(word, 1, 3, 0, 0xf1) + exitSlot, memory, "5"},
		conformanceCase{"5.3 on the stack", slot(0x7a, 10, 0, -8, 40) + slot(0xb7, 3, 0, 0, 2) + slot(double, 10, 3, -8, 0) + slot(0x79, 0, 10, -8, 0) + exitSlot, "", "2a"},
		conformanceCase{"5.3 outside", slot(0xb7, 3, 0, 0, 2) + slot(double, 1, 3, 4, 0) + exitSlot, memory, "refused"},
		conformanceCase{"5.3 of a half-word", slot(0xcb, 1, 3, 0, 0) + exitSlot, memory, "refused"},
		conformanceCase{"5.3 unknown operation", slot(double, 1, 3, 0, 0x20) + exitSlot, memory, "refused"},
	)
	runConformance(t, cases)
}

func TestConformanceCalls(t *testing.T) {
	call := func(by int32) string { return slot(0x85, 0, 1, 0, by) }
	moves := func(values ...int32) (program string) { // r6 = first, r7 = second ...
		for index, value := range values {
			program += slot(0xb7, 6+index, 0, 0, value)
		}
		return program
	}
	sum := slot(0xbf, 0, 6, 0, 0) + slot(0x0f, 0, 7, 0, 0) + slot(0x0f, 0, 8, 0, 0) + slot(0x0f, 0, 9, 0, 0) + exitSlot
	runConformance(t, []conformanceCase{
		{"4.3.2 arguments and result", slot(0xb7, 1, 0, 0, 40) + slot(0xb7, 2, 0, 0, 2) + call(1) + exitSlot +
			slot(0xbf, 0, 1, 0, 0) + slot(0x0f, 0, 2, 0, 0) + exitSlot, "", "2a"},
		{"2 r6 to r9 are preserved", moves(1, 2, 4, 8) + call(5) + sum + moves(100, 100, 100, 100) + exitSlot, "", "f"},
		{"2 each function has its own frame", slot(0x7a, 10, 0, -8, 7) + call(2) + slot(0x79, 0, 10, -8, 0) + exitSlot +
			slot(0x7a, 10, 0, -8, 9) + exitSlot, "", "7"},
		{"2 a caller's frame by pointer", slot(0x7a, 10, 0, -8, 7) + slot(0xbf, 1, 10, 0, 0) + call(2) + slot(0x79, 0, 10, -8, 0) + exitSlot +
			slot(0x7a, 1, 0, -8, 9) + exitSlot, "", "9"},
		{"2 r10 comes back", slot(0xbf, 6, 10, 0, 0) + call(3) + slot(0x1f, 6, 10, 0, 0) + slot(0xbf, 0, 6, 0, 0) + exitSlot + exitSlot, "", "0"},
		{"2 below a callee's frame", call(1) + exitSlot + slot(0x7a, 10, 0, -520, 1) + exitSlot, "", "refused"},
		{"2 above a callee's frame", call(1) + exitSlot + slot(0x79, 0, 10, 0, 0) + exitSlot, "", "refused"},
		{"4.3.2 calls backwards", slot(0x05, 0, 0, 2, 0) + slot(0xb7, 0, 0, 0, 6) + exitSlot + call(-3) + exitSlot, "", "6"},
		{"4.3.2 endless recursion", call(-1) + exitSlot, "", "refused"},
		{"4.3.2 out of the program", call(9) + exitSlot, "", "refused"},
		{"4.3.1 a helper", slot(0x85, 0, 0, 0, 1) + exitSlot, "", "refused"},
		{"4.3.1 a helper by BTF id", slot(0x85, 0, 2, 0, 1) + exitSlot, "", "refused"},
		{"4.3.1 callx", slot(0x8d, 1, 0, 0, 0) + exitSlot, "", "refused"},
		{"3 an empty program's memory argument", slot(0xb7, 0, 0, 0, 0) + exitSlot, "", "0"},
		{"hexadecimal with blanks and line ends", "b7 00 00 00 0a 00 00 00\n95 00 00 00\n00 00 00 00\n", "  ", "a"},
	})
}
