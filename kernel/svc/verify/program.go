package verify

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Access says what memory an instruction touches, the same on every path or
// AccessMixed. The interpreter picks a faster form by it and still checks; the
// compiler believes it.
type Access uint8

const (
	AccessNone Access = iota
	AccessContext
	AccessPacketStart // the context field that yields the first packet byte
	AccessPacketEnd   // the one that yields the end
	AccessPacket
	AccessStack
	AccessMixed
)

// stored is a verified program in a workspace.
type stored struct {
	instructions [abi.ProgramInstructionsMax]bpf.Instruction
	access       [abi.ProgramInstructionsMax]Access
	count        int
	hook         abi.HookID
	kind         bpf.Type
	longestPath  uint32
	writesPacket bool
	digest       abi.Digest
	generation   uint32
}

// Program is a verified program. It is a handle: the instructions live in the
// workspace that verified them, out of everybody's reach, until programsMax
// further programs were verified there; Valid tells.
type Program struct {
	stored     *stored
	generation uint32
}

// keep makes the Program; nothing else does.
func (w *Workspace) keep(a analyze.Analyzed) Program {
	s := &w.programs[w.nextStored]
	w.nextStored = (w.nextStored + 1) % programsMax
	s.generation++
	s.count = copy(s.instructions[:], w.program[:a.Len()])
	copy(s.access[:], w.access[:a.Len()])
	s.hook, s.kind, s.longestPath = w.hook, w.kind, a.LongestPath()
	s.digest = bpf.Digest(s.instructions[:s.count])
	s.writesPacket = false
	for slot := 0; slot < s.count; slot++ {
		class := s.instructions[slot].Class()
		writes := class == bpf.ClassST || class == bpf.ClassSTX
		if writes && (s.access[slot] == AccessPacket || s.access[slot] == AccessMixed) {
			s.writesPacket = true
		}
	}
	return Program{s, s.generation}
}

// Valid says that the workspace still holds this program.
func (p Program) Valid() bool { return p.stored != nil && p.stored.generation == p.generation }

// Hook is where the program may run.
func (p Program) Hook() abi.HookID { return p.stored.hook }

// Type is by which rules it was judged.
func (p Program) Type() bpf.Type { return p.stored.kind }

// Len is the number of slots.
func (p Program) Len() int { return p.stored.count }

// At returns a slot.
func (p Program) At(slot int) bpf.Instruction { return p.stored.instructions[:p.stored.count][slot] }

// Access says what memory the instruction at slot touches.
func (p Program) Access(slot int) Access { return p.stored.access[:p.stored.count][slot] }

// Digest names the program.
func (p Program) Digest() abi.Digest { return p.stored.digest }

// LongestPath bounds the instructions of any execution.
func (p Program) LongestPath() uint32 { return p.stored.longestPath }

// WritesPacket says that the program may change the packet it is given.
func (p Program) WritesPacket() bool { return p.stored.writesPacket }

// CopyTo copies the slots out and returns how many.
func (p Program) CopyTo(out []bpf.Instruction) int {
	return copy(out, p.stored.instructions[:p.stored.count])
}
