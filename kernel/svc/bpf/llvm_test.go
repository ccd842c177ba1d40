package bpf

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Source that makes clang emit loads and stores of each width, both division
// kinds, swaps, atomics, wide loads and most comparisons.
const llvmSource = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long u64;
u64 arithmetic(u64 a, u64 b, u32 c, long d) {
	a += b; a *= 3; a /= b; a %= 7; a <<= c & 63; a ^= b >> 5; a |= (u64)(d >> 9); a -= ~b; c = c * 9 + (c >> 3); return a + c - (u64)-d;
}
u64 wide(void) { return 0x1122334455667788ul; }
u64 memory(u8 *p) {
	u64 sum = *p + *(u16 *)(p + 2) + *(u32 *)(p + 4) + *(u64 *)(p + 8);
	*(u8 *)(p + 16) = sum; *(u16 *)(p + 18) = sum; *(u32 *)(p + 20) = sum; *(u64 *)(p + 24) = sum; *(u32 *)(p - 4) = 77;
	return sum + __builtin_bswap16(*(u16 *)p) + __builtin_bswap32(*(u32 *)p) + __builtin_bswap64(*(u64 *)p);
}
u64 atomics(u64 *p, u32 *q, u64 v) {
	__sync_fetch_and_add(p, v); v ^= __sync_fetch_and_or(p, v); v += __sync_lock_test_and_set(p, v);
	v += __sync_val_compare_and_swap(p, v, 5); v += __sync_fetch_and_xor(q, (u32)v); v += __sync_val_compare_and_swap(q, (u32)v, 6); return v;
}
u64 branches(u64 a, long b, u32 c, int d) {
	u64 r = 0;
	if (a > 5) r += 3; if (b < -7) r ^= a * 5; if (c >= 9) r += b * 7; if (d <= 3) r *= 11; if (a & 8) r += 17 * c; if (c == (u32)d) r += 23; if (a != r) r *= a;
	return r;
}
`

const llvmSourceV4 = `
long signs(signed char *p, short *q, long a, int b, long c) {
	int *s = (int *)(p + 8);
	a /= c; a %= 9; b /= 3; return a + *p + *q + *s + (signed char)c + (short)a + b;
}
`

// TestAgainstLLVM holds the assembler against what llvm-objdump prints: its
// text must assemble to the bytes it stands beside, and ours must too.
func TestAgainstLLVM(t *testing.T) {
	for _, tool := range []string{"clang-19", "llvm-objdump-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED LOUDLY: %s is missing, the assembler was not compared with LLVM", tool)
		}
	}
	for _, c := range []struct{ cpu, source string }{
		{"v2", llvmSource}, {"v3", llvmSource}, {"v4", llvmSource + llvmSourceV4},
	} {
		t.Run(c.cpu, func(t *testing.T) { compareWithLLVM(t, c.cpu, c.source) })
	}
}

func compareWithLLVM(t *testing.T, cpu, source string) {
	directory := t.TempDir()
	cFile, object := filepath.Join(directory, "a.c"), filepath.Join(directory, "a.o")
	if err := os.WriteFile(cFile, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("clang-19", "-O2", "-target", "bpf", "-mcpu="+cpu, "-w", "-c", cFile, "-o", object)
	if cpu == "v2" { // v2 has neither 32-bit jumps nor fetching atomics
		trimmed := source[:strings.Index(source, "u64 atomics")] + source[strings.Index(source, "u64 branches"):]
		if err := os.WriteFile(cFile, []byte(trimmed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	listing, err := exec.Command("llvm-objdump-19", "--mcpu=v4", "-d", object).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, line := range strings.Split(string(listing), "\n") {
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) != 3 || !strings.Contains(fields[0], ":") {
			continue
		}
		wire, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(fields[1]), " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(strings.SplitN(line, "\t", 3)[2]), "\t"))
		checkLLVMLine(t, wire, text)
		lines++
	}
	if lines < 80 {
		t.Fatalf("only %d instructions compared", lines)
	}
}

func checkLLVMLine(t *testing.T, wire []byte, text string) {
	slots := make([]Instruction, 4)
	out := make([]Instruction, 4)
	count, _, code := Decode(wire, slots)
	if code != abi.OK {
		t.Errorf("%x (%s) does not decode: code %d", wire, text, code)
		return
	}
	got, place, code := Assemble([]byte(text), out)
	if code != abi.OK || got != count || out[0] != slots[0] || count == 2 && out[1] != slots[1] {
		t.Errorf("%q: code %d at column %d, %+v want %+v", text, code, place.Column, out[:got], slots[:count])
	}
}
