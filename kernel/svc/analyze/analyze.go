// Package analyze is the stage that looks at the shape of a candidate before
// any value is looked at: opcodes, control flow, reachability, the longest
// path and the stack. It is cheap (three passes over the slots, whatever the
// program) and everything after it relies on its invariants:
//
//   - every slot is an instruction of RFC 9669 or the second half of one;
//   - every jump goes forward and lands on the first slot of an instruction,
//     so program order is an order of execution and nothing loops;
//   - every instruction is reachable and no path runs off the end;
//   - no instruction writes r10 and no direct stack access leaves the frame.
//
// Only this package makes an Analyzed, and verify accepts nothing else.
package analyze

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// netRXPathMax is the most instructions one packet may cost at net.rx. The
// default path costs a few thousand machine instructions for a packet nobody
// wants and compiled code one to two per eBPF instruction (the interpreter a
// dozen), so a longer program hardly pays for itself.
const netRXPathMax = 400

// Flags of a slot, found here and of use to later stages.
const (
	flagStart     = 1 << 0 // first slot of an instruction
	flagReachable = 1 << 1
	flagTarget    = 1 << 2 // some jump lands here
)

// Workspace is the memory of one analysis. The zero value is ready for
// programs of abi.ProgramInstructionsMax slots. One thread uses it at a time;
// a new Check makes the Analyzed of the previous one worthless (and detects it).
type Workspace struct {
	instructions []bpf.Instruction
	flags        []uint8
	longest      []uint32 // instructions on the longest path from here to an exit
	generation   uint32
	candidate    candidate

	fixedInstructions [abi.ProgramInstructionsMax]bpf.Instruction
	fixedFlags        [abi.ProgramInstructionsMax]uint8
	fixedLongest      [abi.ProgramInstructionsMax]uint32
}

// candidate is what is known of the program in the workspace.
type candidate struct {
	hook        abi.HookID
	kind        bpf.Type
	count       int // slots
	longestPath uint32
	stackBytes  uint32
	blocks      uint32
}

// Report says what was found: the measures if Code is OK, else the offending slot.
type Report struct {
	Code        abi.Code
	Instruction int32 // slot, -1 where none
	LongestPath uint32
	StackBytes  uint32
	Blocks      uint32
	Slots       uint32
}

// Analyzed is a candidate whose shape is sound. Its instructions were copied:
// whoever proposed them cannot change them any more.
type Analyzed struct {
	workspace  *Workspace
	generation uint32
}

// Check analyses a candidate.
func Check(c bpf.Candidate, w *Workspace) (Analyzed, Report) {
	w.attach()
	w.generation++
	w.candidate = candidate{hook: c.Hook, kind: c.Type}
	if c.Hook != abi.HookNetRX || c.Type >= bpf.TypeCount {
		return Analyzed{}, refusal(abi.ErrUnknownHook, -1)
	}
	if len(c.Instructions) == 0 {
		return Analyzed{}, refusal(abi.ErrEmpty, -1)
	}
	if len(c.Instructions) > len(w.instructions) {
		return Analyzed{}, refusal(abi.ErrTooLong, len(w.instructions))
	}
	w.candidate.count = copy(w.instructions, c.Instructions)
	if at, code := w.slots(); code != abi.OK {
		return Analyzed{}, refusal(code, at)
	}
	if at, code := w.jumps(); code != abi.OK {
		return Analyzed{}, refusal(code, at)
	}
	if at, code := w.reach(); code != abi.OK {
		return Analyzed{}, refusal(code, at)
	}
	w.measure()
	if c.Type == bpf.TypeHook && w.candidate.longestPath > netRXPathMax {
		return Analyzed{}, refusal(abi.ErrCostBound, int(w.candidate.longestPath))
	}
	return Analyzed{w, w.generation}, Report{
		Instruction: -1, LongestPath: w.candidate.longestPath, StackBytes: w.candidate.stackBytes,
		Blocks: w.candidate.blocks, Slots: uint32(w.candidate.count),
	}
}

func refusal(code abi.Code, at int) Report { return Report{Code: code, Instruction: int32(at)} }

func (w *Workspace) attach() {
	if w.instructions == nil {
		w.instructions, w.flags, w.longest = w.fixedInstructions[:], w.fixedFlags[:], w.fixedLongest[:]
	}
}

// Valid says that the workspace still holds this program.
func (a Analyzed) Valid() bool {
	return a.workspace != nil && a.workspace.generation == a.generation
}

// Hook is where the program wants to run.
func (a Analyzed) Hook() abi.HookID { return a.workspace.candidate.hook }

// Type is by which rules it is judged.
func (a Analyzed) Type() bpf.Type { return a.workspace.candidate.kind }

// Len is the number of slots.
func (a Analyzed) Len() int { return a.workspace.candidate.count }

// LongestPath bounds the instructions of any execution.
func (a Analyzed) LongestPath() uint32 { return a.workspace.candidate.longestPath }

// StackBytes is the depth of the direct accesses through r10.
func (a Analyzed) StackBytes() uint32 { return a.workspace.candidate.stackBytes }

// CopyTo copies the slots out and returns how many.
func (a Analyzed) CopyTo(out []bpf.Instruction) int {
	return copy(out, a.workspace.instructions[:a.workspace.candidate.count])
}

// IsTarget says that some jump lands on this slot.
func (a Analyzed) IsTarget(slot int) bool { return a.workspace.flags[slot]&flagTarget != 0 }
