package bpf

import (
	"crypto/sha256"
	"math/rand"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// assembleText is for tests that expect success.
func assembleText(t testing.TB, text string) []Instruction {
	t.Helper()
	out := make([]Instruction, 4096)
	count, place, code := Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: code %d in %q", place.Line, place.Column, code, text)
	}
	return out[:count]
}

func disassembleText(t testing.TB, instructions []Instruction) string {
	t.Helper()
	out := make([]byte, 128*len(instructions)+1)
	n, place, code := Disassemble(instructions, out)
	if code != abi.OK {
		t.Fatalf("slot %d: code %d", place.Instruction, code)
	}
	return string(out[:n])
}

// Each line: text, its bytes as fields, and the canonical text where it differs.
func TestAssembleTable(t *testing.T) {
	for _, c := range []struct {
		text      string
		want      Instruction
		canonical string
	}{
		{"r0 = 2", Instruction{0xb7, 0x00, 0, 2}, ""},
		{"w3 = 0xffffffff", Instruction{0xb4, 0x03, 0, -1}, "w3 = -1"},
		{"r1 = r2", Instruction{0xbf, 0x21, 0, 0}, ""},
		{"r1 += -8", Instruction{0x07, 0x01, 0, -8}, ""},
		{"w1 += 7", Instruction{0x04, 0x01, 0, 7}, ""},
		{"r1 s>>= 4", Instruction{0xc7, 0x01, 0, 4}, ""},
		{"w1 s/= w2", Instruction{0x3c, 0x21, 1, 0}, ""},
		{"r1 s%= 0x7", Instruction{0x97, 0x01, 1, 7}, "r1 s%= 7"},
		{"r1 = -r1", Instruction{0x87, 0x01, 0, 0}, ""},
		{"r1 = (s16)r2", Instruction{0xbf, 0x21, 16, 0}, ""},
		{"w1 = (s8)w2", Instruction{0xbc, 0x21, 8, 0}, ""},
		{"r1 = be16 r1", Instruction{0xdc, 0x01, 0, 16}, ""},
		{"r1 = le64 r1", Instruction{0xd4, 0x01, 0, 64}, ""},
		{"r1 = bswap32 r1", Instruction{0xd7, 0x01, 0, 32}, ""},
		{"r1 = *(u32 *)(r2 + 4)", Instruction{0x61, 0x21, 4, 0}, ""},
		{"w1 = *(u8 *)(r2 - 0x4)", Instruction{0x71, 0x21, -4, 0}, "r1 = *(u8 *)(r2 - 4)"},
		{"r1 = *(s16 *)(r2+0)", Instruction{0x89, 0x21, 0, 0}, "r1 = *(s16 *)(r2 + 0)"},
		{"*(u8 *)(r10 - 1) = r3", Instruction{0x73, 0x3a, -1, 0}, ""},
		{"*(u64 *)(r10 - 8) = -5", Instruction{0x7a, 0x0a, -8, -5}, ""},
		{"lock *(u64 *)(r2 + 0x0) += r0", Instruction{0xdb, 0x02, 0, 0}, "lock *(u64 *)(r2 + 0) += r0"},
		{"w5 = atomic_fetch_xor((u32 *)(r2 + 4), w5)", Instruction{0xc3, 0x52, 4, 0xa1}, ""},
		{"r5 = xchg_64(r1 + 0, r5)", Instruction{0xdb, 0x51, 0, 0xe1}, ""},
		{"w0 = cmpxchg32_32(r1 + 0, w0, w6)", Instruction{0xc3, 0x61, 0, 0xf1}, ""},
		{"r0 = *(u16 *)skb[12]", Instruction{0x28, 0, 0, 12}, ""},
		{"r0 = *(u8 *)skb[r6 + 2]", Instruction{0x50, 0x60, 0, 2}, ""},
		{"if r1 > 5 goto +3", Instruction{0x25, 0x01, 3, 5}, ""},
		{"if w1 s< w2 goto -0x2 <f+0x10>", Instruction{0xce, 0x21, -2, 0}, "if w1 s< w2 goto -2"},
		{"if w0 > -0x80000000 goto pc+3", Instruction{0x26, 0x00, 3, -0x80000000}, "if w0 > -2147483648 goto +3"},
		{"if r3 & 1 goto +0", Instruction{0x45, 0x03, 0, 1}, ""},
		{"goto +1", Instruction{0x05, 0, 1, 0}, ""},
		{"gotol -70000", Instruction{0x06, 0, 0, -70000}, ""},
		{"call 5", Instruction{0x85, 0, 0, 5}, ""},
		{"call pc+2", Instruction{0x85, 0x10, 0, 2}, ""},
		{"call btf 9", Instruction{0x85, 0x20, 0, 9}, ""},
		{"callx r4", Instruction{0x8d, 0x04, 0, 0}, ""},
		{"exit ; done", Instruction{0x95, 0, 0, 0}, "exit"},
	} {
		got := assembleText(t, c.text)
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%q: %+v, want %+v", c.text, got, c.want)
			continue
		}
		canonical := c.canonical
		if canonical == "" {
			canonical = c.text
		}
		if text := disassembleText(t, got); text != canonical+"\n" {
			t.Errorf("%q: prints %q", c.text, text)
		}
	}
}

func TestAssembleProgram(t *testing.T) {
	const text = `; type: net.rx
	r2 = 0x1122334455667788 ll   // two slots
start:	if r2 != r3 goto drop
	goto pass
drop: r0 = 1
	exit
pass:
	r0 = 2  # the default
	exit`
	got := assembleText(t, text)
	want := "r2 = 0x1122334455667788 ll\nif r2 != r3 goto +1\ngoto +2\nr0 = 1\nexit\nr0 = 2\nexit\n"
	if printed := disassembleText(t, got); printed != want {
		t.Fatalf("got\n%s", printed)
	}
	if name := string(TypeLine([]byte(text))); name != "net.rx" {
		t.Errorf("type line says %q", name)
	}
}

func TestAssembleRefuses(t *testing.T) {
	for _, c := range []struct {
		text         string
		code         abi.Code
		line, column int32
	}{
		{"", abi.ErrEmpty, 1, 1},
		{"r0 = 2\nr11 = 3", abi.ErrBadRegister, 2, 1},
		{"r0 = r99999999999999999999", abi.ErrBadRegister, 1, 6},
		{"r0 = 0x1ffffffff", abi.ErrRange, 1, 6},
		{"r0 = 0xffffffff", abi.ErrRange, 1, 6},
		{"r0 = 99999999999999999999 ll", abi.ErrRange, 1, 6},
		{"r0 += 5 5", abi.ErrSyntax, 1, 9},
		{"r0 = 2 exit", abi.ErrSyntax, 1, 8},
		{"  goto nowhere", abi.ErrUnknownName, 1, 8},
		{"x: exit\nx: exit", abi.ErrBadValue, 2, 1},
		{"if r1 > 5 goto +40000", abi.ErrRange, 1, 22},
		{"r1 = *(u32 *)(r2 + 40000)", abi.ErrRange, 1, 25},
		{"w1 = r2", abi.ErrSyntax, 1, 6},
		{"r1 = be16 r2", abi.ErrSyntax, 1, 11},
		{"r1 = frobnicate r2", abi.ErrUnknownName, 1, 6},
		{"*(s8 *)(r1 + 0) = r1", abi.ErrSyntax, 1, 2},
		{"hello world", abi.ErrSyntax, 1, 1},
		{"r1 =", abi.ErrSyntax, 1, 5},
		{"if r1", abi.ErrSyntax, 1, 6},
		{"if r1 == 1", abi.ErrSyntax, 1, 11},
	} {
		_, place, code := Assemble([]byte(c.text), make([]Instruction, 64))
		if code != c.code || place.Line != c.line || place.Column != c.column {
			t.Errorf("%q: code %d at %d:%d, want %d at %d:%d", c.text, code, place.Line, place.Column, c.code, c.line, c.column)
		}
	}
	if _, _, code := Assemble([]byte("exit\nexit"), make([]Instruction, 1)); code != abi.ErrTooLong {
		t.Errorf("overlong: code %d", code)
	}
	if _, _, code := Assemble([]byte(strings.Repeat("exit\n", 3)+manyLabels(labelsInKernel+1)), make([]Instruction, 8)); code != abi.ErrNoSpace {
		t.Errorf("too many labels: code %d", code)
	}
}

func manyLabels(count int) string {
	var text strings.Builder
	for i := 0; i < count; i++ {
		text.WriteString("l")
		text.WriteString(strings.Repeat("x", i))
		text.WriteString(":\n")
	}
	return text.String()
}

// randomInstruction draws one instruction that CheckSlot accepts.
func randomInstruction(random *rand.Rand) []Instruction {
	for {
		slot := Instruction{uint8(random.Uint32()), uint8(random.Uint32()), int16(random.Uint32()), int32(random.Uint32())}
		// Reserved fields must be zero, which blind chance does not find.
		if random.Intn(2) == 0 {
			slot.Registers &= 0x0f
		}
		switch random.Intn(6) {
		case 0:
			slot.Offset = 0
		case 1:
			slot.Offset = []int16{0, 1, 8, 16, 32}[random.Intn(5)]
		}
		switch random.Intn(4) {
		case 0:
			slot.Immediate = 0
		case 1:
			slot.Immediate = []int32{0, 1, 0x40, 0x41, 0x51, 0xa1, 0xe1, 0xf1, 16, 32, 64}[random.Intn(11)]
		}
		if random.Intn(4) == 0 {
			slot.Registers, slot.Offset = 0, 0
		}
		pair := []Instruction{slot, {Immediate: int32(random.Uint32())}}
		if width, code := CheckSlot(pair, 0); code == abi.OK {
			return pair[:width]
		}
	}
}

func TestRoundTrip(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewSource(seed))
	seen := map[uint8]bool{}
	for i := 0; i < 100000; i++ {
		want := randomInstruction(random)
		seen[want[0].Opcode] = true
		text := disassembleText(t, want)
		out := make([]Instruction, 4)
		count, place, code := Assemble([]byte(text), out)
		if code != abi.OK || count != len(want) || out[0] != want[0] || count == 2 && out[1] != want[1] {
			t.Fatalf("seed %d: %+v prints %q, reads %+v (code %d at column %d)", seed, want, text, out[:count], code, place.Column)
		}
		wire := make([]byte, 16)
		bytes, _ := Encode(want, wire)
		count, _, code = Decode(wire[:bytes], out)
		if code != abi.OK || out[0] != want[0] || count != len(want) {
			t.Fatalf("seed %d: %+v does not survive the wire (code %d)", seed, want, code)
		}
	}
	// Every opcode RFC 9669 defines has been drawn.
	defined := 0
	for opcode := 0; opcode < 256; opcode++ {
		for _, immediate := range []int32{0, 16} {
			pair := []Instruction{{Opcode: uint8(opcode), Immediate: immediate}, {}}
			if _, code := CheckSlot(pair, 0); code == abi.OK {
				defined++
				if !seen[uint8(opcode)] {
					t.Errorf("opcode %#x never drawn", opcode)
				}
				break
			}
		}
	}
	if defined < 110 {
		t.Errorf("only %d opcodes defined", defined)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		slot Instruction
		code abi.Code
	}{
		{"unknown opcode", Instruction{0xff, 0, 0, 0}, abi.ErrBadOpcode},
		{"destination r11", Instruction{0xb7, 0x0b, 0, 0}, abi.ErrBadRegister},
		{"source r12", Instruction{0xbf, 0xc0, 0, 0}, abi.ErrBadRegister},
		{"immediate beside a source", Instruction{0xbf, 0x10, 0, 5}, abi.ErrBadOpcode},
		{"source beside an immediate", Instruction{0xb7, 0x10, 0, 5}, abi.ErrBadOpcode},
		{"offset of an addition", Instruction{0x07, 0, 3, 5}, abi.ErrBadOpcode},
		{"exit with an immediate", Instruction{0x95, 0, 0, 5}, abi.ErrBadOpcode},
		{"half a wide load", Instruction{0x18, 0, 0, 5}, abi.ErrBadOpcode},
		{"unknown atomic", Instruction{0xdb, 0, 0, 0x10}, abi.ErrBadOpcode},
		{"move extends 32 to 32", Instruction{0xbc, 0x10, 32, 0}, abi.ErrBadOpcode},
	} {
		wire := make([]byte, 8)
		EncodeSlot(c.slot, wire)
		if _, _, code := Decode(wire, make([]Instruction, 4)); code != c.code {
			t.Errorf("%s: code %d, want %d", c.name, code, c.code)
		}
	}
	if _, _, code := Decode(make([]byte, 12), make([]Instruction, 4)); code != abi.ErrTruncated {
		t.Errorf("12 bytes: code %d", code)
	}
}

func TestDigestAgainstStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	for length := 0; length < 300; length++ {
		message := make([]byte, length)
		random.Read(message)
		if DigestBytes(message) != sha256.Sum256(message) {
			t.Fatalf("seed 2, length %d differs", length)
		}
	}
	program := assembleText(t, "r0 = 0x1122334455667788 ll\nexit")
	wire := make([]byte, 64)
	n, _ := Encode(program, wire)
	if Digest(program) != sha256.Sum256(wire[:n]) {
		t.Error("program digest differs")
	}
}

func TestNoAllocations(t *testing.T) {
	text := []byte("x: r1 = *(u32 *)(r1 + 4)\nif r1 > 5 goto x\nr0 = 7 ll\nexit")
	out := make([]Instruction, 16)
	printed := make([]byte, 1024)
	wire := make([]byte, 128)
	got := testing.AllocsPerRun(50, func() {
		count, _, _ := Assemble(text, out)
		n, _ := Encode(out[:count], wire)
		Decode(wire[:n], out)
		Disassemble(out[:count], printed)
		Digest(out[:count])
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x18, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		out := make([]Instruction, 64)
		count, _, code := Decode(wire, out)
		if code != abi.OK {
			return
		}
		again := make([]byte, len(wire))
		if n, code := Encode(out[:count], again); code != abi.OK || string(again[:n]) != string(wire) {
			t.Fatalf("encode(decode(x)) differs: code %d", code)
		}
		text := disassembleText(t, out[:count])
		back := assembleText(t, text)
		for i := range back {
			if back[i] != out[i] {
				t.Fatalf("slot %d: %+v prints as %q", i, out[i], text)
			}
		}
	})
}

func FuzzAssemble(f *testing.F) {
	f.Add("r0 = 2\nexit\n")
	f.Add("a: if r1 s>= w2 goto a\nlock *(u32 *)(r1 + 0) |= w2\nr1 = 5 ll")
	f.Add("r0 = *(u8 *)skb[r1 + 2]\nw0 = cmpxchg32_32(r1 + 0, w0, w2)")
	f.Fuzz(func(t *testing.T, text string) {
		out := make([]Instruction, 64)
		count, place, code := Assemble([]byte(text), out)
		if code != abi.OK {
			if place.Line < 1 || place.Column < 1 || int(place.Line) > strings.Count(text, "\n")+1 {
				t.Fatalf("error at %d:%d of %q", place.Line, place.Column, text)
			}
			return
		}
		printed := disassembleText(t, out[:count])
		back := assembleText(t, printed)
		if len(back) != count {
			t.Fatalf("%d slots become %d", count, len(back))
		}
		for i := range back {
			if back[i] != out[i] {
				t.Fatalf("slot %d of %q differs after printing %q", i, text, printed)
			}
		}
	})
}
