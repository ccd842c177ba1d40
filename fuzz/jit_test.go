package fuzz

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/emulate"
)

func needEmulator(t testing.TB) {
	t.Helper()
	if !emulate.Available() {
		t.Skipf("SKIPPED: %v; no compiled code was run", emulate.ErrMissing)
	}
}

// FuzzJIT lets the fuzzer's bytes choose the program; each is a batch of its own.
func FuzzJIT(f *testing.F) {
	needEmulator(f)
	for seed := byte(0); seed < 16; seed++ {
		f.Add([]byte{seed, seed * 31, seed * 7})
	}
	session := NewJITSession()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var source Source
		source.Reset(bytes)
		if _, code := session.Add(&source, "bytes of the fuzzer"); code != abi.OK {
			return
		}
		finding, err := session.Flush(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if finding != nil {
			t.Fatalf("%s: %s\n%s", finding.Oracle, finding.Detail, finding.Repro)
		}
	})
}

// mistake is a wrong template: it rewrites one machine instruction.
type mistake struct {
	name    string
	rewrite func(word uint32) uint32
}

// when makes a rewrite of the words that match under a mask.
func when(mask, value uint32, change uint32) func(uint32) uint32 {
	return func(word uint32) uint32 {
		if word&mask == value {
			return word ^ change
		}
		return word
	}
}

// mistakes are those that code generators are known for.
var mistakes = []mistake{
	{"unsigned > taken for >=", when(0xff00001f, 0x54000008, 0x8^0x2)},
	{"unsigned < taken for signed", when(0xff00001f, 0x54000003, 0x3^0xb)},
	{"32-bit addition keeps the upper half", when(0xff200000, 0x0b000000, 1<<31)},
	{"32-bit move keeps the upper half", when(0xffe0ffe0, 0x2a0003e0, 1<<31)},
	{"arithmetic shift taken for logical", when(0xffe0fc00, 0x9ac02800, 0x0c00)},
	{"signed division taken for unsigned", when(0x7fe0fc00, 0x1ac00c00, 0x0400)},
	{"remainder without the multiplication", when(0x7fe08000, 0x1b008000, 0x8000)},
	{"sign-extending load taken for zero-extending", when(0xffc00000, 0x79800000, 0x00c00000)},
	{"16-bit swap taken for 32-bit", when(0xfffffc00, 0x5ac00400, 0x0c00)},
	{"64-bit comparison taken for 32-bit", when(0xffe0001f, 0xeb00001f, 1<<31)},
	{"64-bit test for zero taken for 32-bit", when(0xff000000, 0xb4000000, 1<<31)},
	{"shift by one too many", when(0xffc0fc00, 0xd340fc00, 1<<16)},
	{"stack of another depth", when(0xffc003e0, 0xf90003e0, 1<<10)},
	{"a register that is not ours", when(0xffe0ffff, 0xaa0003e9, 0x09^0x12)},
}

// TestJITFindsMistakes plants each of them and demands that it is found.
func TestJITFindsMistakes(t *testing.T) {
	needEmulator(t)
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			session := NewJITSession()
			changed := 0
			session.Mutate = func(code []byte) {
				for at := 0; at < len(code); at += 4 {
					word := binary.LittleEndian.Uint32(code[at:])
					if rewritten := m.rewrite(word); rewritten != word {
						binary.LittleEndian.PutUint32(code[at:], rewritten)
						changed++
					}
				}
			}
			var source Source
			for program := uint64(0); program < 8000; program++ {
				source.ResetSeed(1 + program*0x9e3779b97f4a7c15)
				session.Add(&source, "planted")
				if program%1000 != 999 {
					continue
				}
				finding, err := session.Flush(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if finding != nil {
					t.Logf("found within %d programs: %s", program+1, finding.Detail)
					return
				}
			}
			t.Errorf("not found in 8000 programs (%d instructions changed)", changed)
		})
	}
}
