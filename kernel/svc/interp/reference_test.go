package interp

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

func reference(t testing.TB, text string) *Reference {
	t.Helper()
	out := make([]bpf.Instruction, 512)
	count, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: code %d in\n%s", place.Line, place.Column, code, text)
	}
	return &Reference{Instructions: out[:count], StepsMax: 100000, Lax: true}
}

// TestMeaning states results by hand, after the text of RFC 9669.
func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		name, text string
		memory     []byte
		want       uint64
	}{
		{"division by zero", "r1 = 0\nr0 = 5\nr0 /= r1\nexit", nil, 0},
		{"modulo by zero", "r1 = 0\nr0 = 5\nr0 %= r1\nexit", nil, 5},
		{"32-bit modulo by zero cuts", "r1 = 0\nr0 = 0x1122334455667788 ll\nw0 %= w1\nexit", nil, 0x55667788},
		{"signed division wraps", "r1 = -1\nr0 = 0x8000000000000000 ll\nr0 s/= r1\nexit", nil, 1 << 63},
		{"signed modulo", "r0 = -13\nr0 s%= 4\nexit", nil, ^uint64(0)},
		{"signed 32-bit division", "w0 = -13\nw0 s/= 4\nexit", nil, 0xfffffffd},
		{"shift count is masked", "r0 = 1\nr1 = 65\nr0 <<= r1\nexit", nil, 2},
		{"arithmetic shift of a word", "w0 = 0x80000000\nw0 s>>= 31\nexit", nil, 0xffffffff},
		{"negation", "r0 = 5\nr0 = -r0\nexit", nil, 0xfffffffffffffffb},
		{"moves extend signs", "r1 = 0x80\nr0 = (s8)r1\nexit", nil, 0xffffffffffffff80},
		{"32-bit moves extend to 32", "r1 = 0x8000\nw0 = (s16)w1\nexit", nil, 0xffff8000},
		{"be16", "r0 = 0x11223344\nr0 = be16 r0\nexit", nil, 0x4433},
		{"le32", "r0 = 0x1122334455667788 ll\nr0 = le32 r0\nexit", nil, 0x55667788},
		{"bswap64", "r0 = 0x1122334455667788 ll\nr0 = bswap64 r0\nexit", nil, 0x8877665544332211},
		{"memory", "r0 = *(u32 *)(r1 + 1)\nexit", []byte{1, 2, 3, 4, 5}, 0x05040302},
		{"memory, signed", "r0 = *(s8 *)(r1 + 0)\nexit", []byte{0xfe}, ^uint64(1)},
		{"length in r2", "r0 = r2\nexit", make([]byte, 7), 7},
		{"store of an immediate extends", "*(u64 *)(r1 + 0) = -2\nr0 = *(u64 *)(r1 + 0)\nexit", make([]byte, 8), ^uint64(1)},
		{"loop", "r0 = 0\nr1 = 10\nx: r0 += r1\nr1 -= 1\nif r1 != 0 goto x\nexit", nil, 55},
		{"local call", "r6 = 7\nr1 = 3\ncall f\nr0 += r6\nexit\nf: r6 = 100\n*(u64 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)\nexit", nil, 10},
		{"atomic fetch", "r2 = 5\nr2 = atomic_fetch_add((u64 *)(r1 + 0), r2)\nr0 = *(u64 *)(r1 + 0)\nr0 <<= 8\nr0 |= r2\nexit", []byte{3, 0, 0, 0, 0, 0, 0, 0}, 0x803},
		{"compare and exchange", "r0 = 3\nr2 = 9\nr0 = cmpxchg_64(r1 + 0, r0, r2)\nr0 = *(u64 *)(r1 + 0)\nexit", []byte{3, 0, 0, 0, 0, 0, 0, 0}, 9},
		{"signed comparison of words", "w1 = -1\nr0 = 1\nif w1 s< 0 goto +1\nr0 = 2\nexit", nil, 1},
		{"unsigned comparison", "r1 = -1\nr0 = 1\nif r1 > 5 goto +1\nr0 = 2\nexit", nil, 1},
	} {
		m := reference(t, c.text)
		got, code := m.RunMemory(c.memory)
		if code != abi.OK || got != c.want {
			t.Errorf("%s: %#x (code %d), want %#x", c.name, got, code, c.want)
		}
	}
}

func TestReferenceStops(t *testing.T) {
	for _, c := range []struct {
		name, text string
		strict     bool
		code       abi.Code
	}{
		{"endless loop", "x: goto x\nexit", false, abi.ErrStepBound},
		{"outside memory", "r0 = *(u8 *)(r1 + 8)\nexit", false, abi.ErrFault},
		{"below the stack", "r0 = *(u8 *)(r10 - 513)\nexit", false, abi.ErrFault},
		{"a number is no pointer", "r1 = 64\nr0 = *(u8 *)(r1 + 0)\nexit", false, abi.ErrFault},
		{"uninitialised register", "r0 = r7\nexit", true, abi.ErrUninitialised},
		{"uninitialised stack", "r0 = *(u8 *)(r10 - 1)\nexit", true, abi.ErrUninitialised},
		{"no return value", "exit", true, abi.ErrUninitialised},
		{"off the end", "r0 = 1", false, abi.ErrFallsThrough},
		{"helper", "call 7\nexit", false, abi.ErrUnknownHelper},
		{"endless recursion", "f: call f\nexit", false, abi.ErrStackBound},
	} {
		m := reference(t, c.text)
		m.Lax = !c.strict
		if _, code := m.RunMemory(make([]byte, 8)); code != c.code {
			t.Errorf("%s: code %d, want %d", c.name, code, c.code)
		}
	}
}
