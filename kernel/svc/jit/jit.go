// Package jit is the stage that turns a verified program into machine code.
//
// It trusts verify and checks nothing at run time: a pointer in compiled code
// is an address. What it cannot translate it refuses, and the program then runs
// in the interpreter (package interp), whose results are the definition: both
// are held against each other by fuzzing (fuzz, target jit).
//
// Invariants: only this package makes a Code; a Code is worth something until
// its workspace compiles again; nothing allocates. Making the bytes executable
// is the kernel's business (core/hook/code.c).
package jit

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/jit/arm64"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// CodeBytesMax is the most code a program may have: the pages of one slot index
// (core/hook/code.h, CODE_SLOT_BYTES).
const CodeBytesMax = 16384

// Workspace is the memory of a compilation. The zero value is ready; one
// thread uses it at a time.
type Workspace struct {
	compiler   arm64.Compiler
	program    [abi.ProgramInstructionsMax]bpf.Instruction
	fields     [abi.ProgramInstructionsMax]arm64.Field
	code       [CodeBytesMax]byte
	codeBytes  int
	digest     abi.Digest
	generation uint32
}

// Code is a compiled program. The zero value is none: the interpreter runs.
type Code struct {
	workspace  *Workspace
	generation uint32
}

// Compile translates a verified program.
func Compile(p verify.Program, w *Workspace) (Code, abi.Code) {
	w.generation++
	w.codeBytes = 0
	if !p.Valid() {
		return Code{}, abi.ErrNotFound
	}
	if p.Len() > len(w.program) {
		return Code{}, abi.ErrTooLong
	}
	count := p.CopyTo(w.program[:])
	for slot := 0; slot < count; slot++ {
		w.fields[slot] = arm64.FieldPlain
		switch p.Access(slot) {
		case verify.AccessPacketStart:
			w.fields[slot] = arm64.FieldPacketStart
		case verify.AccessPacketEnd:
			w.fields[slot] = arm64.FieldPacketEnd
		case verify.AccessMixed:
			// It may be the context on one path: then only a test at run time
			// could tell a field from a pointer. Nothing else mixes with it.
			if instruction := w.program[slot]; instruction.Class() == bpf.ClassLDX && bpf.SizeBytes(instruction.Opcode) == 4 {
				return Code{}, abi.ErrUnsupported
			}
		}
	}
	bytes, _, code := w.compiler.Compile(w.program[:count], w.fields[:], arm64.EntryPacket, w.code[:])
	if code != abi.OK {
		return Code{}, code
	}
	w.codeBytes, w.digest = bytes, p.Digest()
	return Code{w, w.generation}, abi.OK
}

// Valid says that the workspace still holds this code.
func (c Code) Valid() bool { return c.workspace != nil && c.workspace.generation == c.generation }

// Digest names the program that was compiled; zero where there is no code.
func (c Code) Digest() abi.Digest {
	if !c.Valid() {
		return abi.Digest{}
	}
	return c.workspace.digest
}

// Bytes is the machine code, read-only by convention; nil where there is none.
func (c Code) Bytes() []byte {
	if !c.Valid() {
		return nil
	}
	return c.workspace.code[:c.workspace.codeBytes]
}
