package main

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/emulate"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
	"github.com/kingly-os/go-kernel/kernel/svc/jit/arm64"
)

// bpfVerb groups what is done with one program outside any kernel.
type bpfVerb struct {
	Run bpfRunVerb `cmd:"" help:"Run one program and print r0."`
}

func (bpfVerb) Help() string {
	return "Example:\n\n  printf 'r0 = 7\\nexit\\n' | lab asm | lab bpf run"
}

// bpfRunVerb runs a program on a piece of memory: the shape of RFC 9669's
// conformance tests.
type bpfRunVerb struct {
	Memory string `arg:"" optional:"" help:"Memory as hexadecimal; r1 points to it, r2 is its length."`
	Engine string `help:"What runs it." enum:"interp,jit" default:"interp"`
	Steps  uint32 `help:"Give up after this many instructions (interp)." default:"10000000"`
}

func (bpfRunVerb) Help() string {
	return "The program comes on stdin, as hexadecimal or raw bytes. No hook's rules apply: loops, local calls and atomics run; every access is checked as it happens. With --engine jit the program is compiled for ARM64 and runs under qemu-aarch64: what is compiled was verified, so nothing is checked, and local calls and atomics are refused.\n\nExample:\n\n  printf 'r0 = *(u16 *)(r1 + 0)\\nr0 = be16 r0\\nexit\\n' | lab asm | lab bpf run 0800"
}

func (v *bpfRunVerb) Run(e *env) error {
	memory, ok := fromHexadecimal([]byte(v.Memory))
	if !ok {
		return usage("the memory argument is not hexadecimal: %q", v.Memory)
	}
	data, err := readInput(e, "-")
	if err != nil {
		return err
	}
	instructions, err := decodeWire("stdin", data)
	if err != nil {
		return err
	}
	if v.Engine == "jit" {
		return v.runCompiled(e, instructions, memory)
	}
	machine := &interp.Reference{Instructions: instructions, StepsMax: v.Steps, Lax: true}
	result, code := machine.RunMemory(memory)
	if code != abi.OK {
		return fail("instruction %d after %d steps: %s", machine.Slot(), machine.Steps, runProblem(code, v.Steps))
	}
	e.printf("%x\n", result)
	return e.document(map[string]any{"r0": fmt.Sprintf("%x", result), "steps": machine.Steps, "engine": v.Engine, "memory": hex.EncodeToString(memory)})
}

// runCompiled compiles the program as it is, without any hook, and runs it in a
// process of its own.
func (v *bpfRunVerb) runCompiled(e *env, instructions []bpf.Instruction, memory []byte) error {
	var compiler arm64.Compiler
	out := make([]byte, jit.CodeBytesMax)
	bytes, at, code := compiler.Compile(instructions, make([]arm64.Field, len(instructions)), arm64.EntryMemory, out)
	if code != abi.OK {
		return fail("instruction %d: the compiler does not take it: %s", at, code)
	}
	batch := &emulate.Batch{Codes: [][]byte{out[:bytes]}, Calls: []emulate.Call{{First: memory, Third: uint64(len(memory)), SecondIsLength: true, NoFirst: len(memory) == 0}}}
	answers, err := emulate.Run(e.ctx, batch)
	if errors.Is(err, emulate.ErrMissing) {
		return infra("--engine jit: %w", err)
	}
	if err != nil {
		return fail("%s", err)
	}
	e.printf("%x\n", answers[0].Result)
	return e.document(map[string]any{"r0": fmt.Sprintf("%x", answers[0].Result), "code_bytes": bytes, "engine": v.Engine, "memory": hex.EncodeToString(memory)})
}

func runProblem(code abi.Code, steps uint32) string {
	switch code {
	case abi.ErrFault:
		return "accesses memory outside its stack and the memory it was given"
	case abi.ErrStepBound:
		return fmt.Sprintf("not finished after %d instructions (--steps)", steps)
	case abi.ErrFallsThrough:
		return "runs off the program"
	case abi.ErrUnknownHelper:
		return "calls a helper; there are none here"
	case abi.ErrStackBound:
		return "calls nested deeper than 8 frames"
	case abi.ErrBadRegister:
		return "writes r10, which is read-only"
	case abi.ErrUnsupported:
		return "needs callx, maps or classic packet loads, which are not there"
	}
	return code.String()
}
