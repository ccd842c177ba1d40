// Package verify is the stage that decides whether a program is safe: it
// explores every path with what is known of each register and stack slot, and
// refuses the program if some path might read what was never written, leave
// the memory it may touch, leak a pointer, or not end. Everything is decided
// before the program runs; nothing is checked by good luck at run time.
//
// Method: depth-first over paths, path-sensitive, one State per path; numbers
// as known bits and ranges (Scalar); packet pointers by the check against
// data_end they have passed; at jump targets a path ends early when an older
// state there includes it (pruning). analyze guarantees forward jumps only.
//
// Memory and time are bounded by the constants below, and nothing allocates.
// Only this package makes a Program.
package verify

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Budgets. A state is about 2.5 KB, so a workspace is about 1.2 MB.
const (
	pendingMax   = 96    // branches not yet taken on one path
	exploredMax  = 320   // states kept for pruning
	perTargetMax = 24    // of those, at one instruction
	processedMax = 65536 // instructions looked at, over all paths
	programsMax  = 16    // programs a workspace holds at once: two rounds of abi.CandidatesMax
)

// Rules selects what Linux calls unprivileged (strict) or privileged (lenient):
// the lenient set lets pointers become numbers and be stored or returned.
type Rules uint8

const (
	RulesStrict  Rules = 0
	RulesLenient Rules = 1
)

// Fault says why a program was refused, or how much work accepting it was.
type Fault struct {
	Code        abi.Code
	Instruction int32 // slot, -1 where none
	Register    int8  // -1 where none
	Wanted      uint64
	Found       uint64
	States      uint32 // kept for pruning
	Processed   uint32 // instructions looked at
}

// pendingState is a branch still to be explored.
type pendingState struct {
	slot  int32
	state State
}

// exploredState is a cleaned state that was fully looked at.
type exploredState struct {
	next  int16 // of the same slot, -1 ends
	state State
}

// Workspace is the memory of a verification. The zero value is ready for
// programs of abi.ProgramInstructionsMax slots; one thread uses it at a time.
type Workspace struct {
	Rules Rules
	// Observe, if set, is called with the state before each instruction that
	// is looked at. Tests use it; in the kernel it is nil.
	Observe func(slot int, state *State)
	// NoPruning explores every path: an oracle for pruning itself.
	NoPruning bool

	program       []bpf.Instruction
	target        []bool
	access        []Access
	liveRegisters []uint16
	liveSlots     []uint64
	firstExplored []int16 // by slot, -1 = none

	hook    abi.HookID
	kind    bpf.Type
	current State
	slot    int
	nextID  uint32
	fault   Fault
	exits   uint32
	ids     idMap

	// Scratch that is handed on by pointer; as locals it would need a heap.
	immediate, narrow     Register
	takenLeft, takenRight Scalar
	elseLeft, elseRight   Scalar

	pendings int
	explored int
	pending  [pendingMax]pendingState
	known    [exploredMax]exploredState

	programs   [programsMax]stored
	nextStored int

	fixedProgram       [abi.ProgramInstructionsMax]bpf.Instruction
	fixedTarget        [abi.ProgramInstructionsMax]bool
	fixedAccess        [abi.ProgramInstructionsMax]Access
	fixedLiveRegisters [abi.ProgramInstructionsMax]uint16
	fixedLiveSlots     [abi.ProgramInstructionsMax]uint64
	fixedFirst         [abi.ProgramInstructionsMax]int16
}

// Check verifies an analysed candidate.
func Check(a analyze.Analyzed, w *Workspace) (Program, Fault) {
	w.attach()
	w.fault = Fault{Instruction: -1, Register: -1}
	if !a.Valid() {
		w.fault.Code = abi.ErrBadValue
		return Program{}, w.fault
	}
	if a.Len() > len(w.program) {
		w.fault.Code = abi.ErrTooLong
		return Program{}, w.fault
	}
	w.prepare(a)
	w.liveness(a.Len())
	w.explore()
	w.fault.States = uint32(w.explored)
	if w.fault.Code != abi.OK {
		return Program{}, w.fault
	}
	w.fault.Instruction = -1
	return w.keep(a), w.fault
}

func (w *Workspace) attach() {
	if w.program == nil {
		w.program, w.target, w.access = w.fixedProgram[:], w.fixedTarget[:], w.fixedAccess[:]
		w.liveRegisters, w.liveSlots, w.firstExplored = w.fixedLiveRegisters[:], w.fixedLiveSlots[:], w.fixedFirst[:]
	}
}

// prepare loads the program and the state before its first instruction: r1
// points to the context, r10 to the frame, nothing else was ever written.
func (w *Workspace) prepare(a analyze.Analyzed) {
	count := a.CopyTo(w.program)
	for slot := 0; slot < count; slot++ {
		w.target[slot] = a.IsTarget(slot)
		w.access[slot] = AccessNone
		w.firstExplored[slot] = -1
	}
	w.hook, w.kind = a.Hook(), a.Type()
	w.pendings, w.explored, w.exits, w.nextID, w.slot = 0, 0, 0, 0, 0
	clear(w.current.registers[:])
	w.current.depth, w.current.spillUsed = 0, 0
	w.current.registers[1] = Register{Kind: KindContext, Scalar: constantScalar(0)}
	w.current.registers[bpf.FramePointer] = Register{Kind: KindStack, Scalar: constantScalar(0)}
}

// explore walks until no branch is pending or something is wrong.
func (w *Workspace) explore() {
	for {
		if w.fault.Processed >= processedMax {
			w.refuse(abi.ErrComplexity, -1, processedMax, uint64(w.fault.Processed))
			return
		}
		w.fault.Processed++
		if w.Observe != nil {
			w.Observe(w.slot, &w.current)
		}
		goesOn := true
		if w.target[w.slot] && !w.NoPruning {
			goesOn = !rules.prune(w)
		}
		if goesOn {
			goesOn = w.step()
		}
		if w.fault.Code != abi.OK {
			return
		}
		if goesOn {
			continue
		}
		if w.pendings == 0 {
			break
		}
		w.pendings--
		w.slot = int(w.pending[w.pendings].slot)
		w.current.CopyFrom(&w.pending[w.pendings].state)
	}
	if w.exits == 0 { // every path was called dead: then something here is wrong
		w.refuse(abi.ErrComplexity, -1, 1, 0)
	}
}

// refuse records the first reason; it returns false so that callers can
// `return w.refuse(...)` from a step.
func (w *Workspace) refuse(code abi.Code, register int, wanted, found uint64) bool {
	if w.fault.Code == abi.OK {
		w.fault.Code = code
		w.fault.Instruction = int32(w.slot)
		w.fault.Register = int8(register)
		w.fault.Wanted, w.fault.Found = wanted, found
	}
	return false
}

// pruneOrKeep says that an older state here includes the current one; if none
// does, the current one is kept for later comers.
func pruneOrKeep(w *Workspace) bool {
	kept := 0
	for index := w.firstExplored[w.slot]; index >= 0; index = w.known[index].next {
		if w.known[index].state.includes(&w.current, &w.ids) {
			return true
		}
		kept++
	}
	if kept < perTargetMax && w.explored < exploredMax {
		entry := &w.known[w.explored]
		entry.state.CopyFrom(&w.current)
		entry.state.clean(w.liveRegisters[w.slot], w.liveSlots[w.slot])
		entry.next = w.firstExplored[w.slot]
		w.firstExplored[w.slot] = int16(w.explored)
		w.explored++
	}
	return false
}

// ruleTable holds the decisions that the mutation tests replace.
type ruleTable struct {
	prune        func(w *Workspace) bool
	refine       func(operation uint8, is32 bool, a, b *Scalar) bool
	packetAccess func(r *Register, offset, size int64) bool
	packetRange  func(r *Register, open bool) (bytes uint16, learnt bool)
	fillNarrow   func(spilled *Scalar, size int) Scalar
	spillNarrow  func(value Scalar, size int) Scalar
	arithmetic32 func(operation uint8, signed bool, a, b Scalar) Scalar
	freshID      bool // a variable offset makes a new packet base
	unlinks      bool // arithmetic on a linked number ends the link
}

var rules = ruleTable{
	prune:        pruneOrKeep,
	refine:       refine,
	packetAccess: packetAccess,
	packetRange:  packetRange,
	fillNarrow:   fillNarrow,
	spillNarrow:  spillNarrow,
	arithmetic32: arithmetic32,
	freshID:      true,
	unlinks:      true,
}
