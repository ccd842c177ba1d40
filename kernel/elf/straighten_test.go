package elf

import (
	"slices"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

func assembled(t *testing.T, text string) []bpf.Instruction {
	t.Helper()
	out := make([]bpf.Instruction, 64)
	count, place, code := bpf.AssembleWith([]byte(text), out, make([]bpf.Label, 16))
	if code != abi.OK {
		t.Fatalf("line %d: %v", place.Line, code)
	}
	return out[:count]
}

// TestStraighten: a shared tail laid before its users, with a wide load in it
// and a block that falls into another; loops and forward programs stay as they are.
func TestStraighten(t *testing.T) {
	tail := assembled(t, "if r1 > 5 goto more\ngoto low\ntail:\nr0 = 0x123456789a ll\nif r2 > 1 goto end\nr0 += 1\nend:\nexit\n"+
		"low:\nr2 = 2\ngoto tail\nmore:\nr2 = 0\ngoto tail\n")
	straight := straighten(tail)
	if len(straight) < len(tail) {
		t.Fatalf("%d slots of %d", len(straight), len(tail))
	}
	for slot, instruction := range straight {
		if instruction.IsJump() && instruction.Opcode != bpf.OpcodeExit && bpf.JumpTarget(instruction, slot) <= slot {
			t.Errorf("slot %d still jumps back", slot)
		}
	}
	for _, text := range []string{
		"r0 = 3\nagain:\nr0 += -1\nif r0 != 0 goto again\nexit\n",          // a loop
		"r0 = 3\nif r0 > 1 goto out\nr0 = 1\nout:\nexit\n",                 // forward already
		"goto out\nlost:\nr0 = 1\nout:\nr0 = 0\nexit\nr0 = 2\ngoto lost\n", // unreachable
	} {
		program := assembled(t, text)
		if !slices.Equal(straighten(program), program) {
			t.Errorf("changed: %s", text)
		}
	}
}
