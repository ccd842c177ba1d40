package analyze

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// The passes of an analysis, in order. Each relies on those before it.

// slots checks every instruction by itself.
func (w *Workspace) slots() (at int, code abi.Code) {
	program := w.instructions[:w.candidate.count]
	clear(w.flags[:len(program)])
	for index := 0; index < len(program); {
		width, code := bpf.CheckSlot(program, index)
		if code == abi.OK {
			code = w.instruction(program[index])
		}
		if code != abi.OK {
			return index, code
		}
		w.flags[index] |= flagStart
		index += width
	}
	return 0, abi.OK
}

// instruction checks what RFC 9669 allows and this kernel does not.
func (w *Workspace) instruction(instruction bpf.Instruction) abi.Code {
	destination := instruction.Destination()
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64, bpf.ClassLDX:
		if destination == bpf.FramePointer {
			return abi.ErrBadRegister
		}
	case bpf.ClassLD:
		if !instruction.IsWide() {
			return abi.ErrUnsupported // packet loads of classic BPF
		}
		if destination == bpf.FramePointer {
			return abi.ErrBadRegister
		}
		if instruction.Source() != 0 {
			return abi.ErrUnsupported // maps and variables
		}
	case bpf.ClassSTX:
		if instruction.Opcode&bpf.ModeMask == bpf.ModeATOMIC {
			return abi.ErrUnsupported
		}
	case bpf.ClassJMP, bpf.ClassJMP32:
		if instruction.Opcode == bpf.OpcodeCallReg {
			return abi.ErrUnsupported
		}
		if instruction.Opcode == bpf.OpcodeCall {
			if instruction.Source() != bpf.CallHelper {
				return abi.ErrUnsupported
			}
			return abi.ErrUnknownHelper // net.rx offers none yet
		}
	}
	return w.directStack(instruction)
}

// directStack bounds accesses whose base is r10 itself.
func (w *Workspace) directStack(instruction bpf.Instruction) abi.Code {
	class := instruction.Class()
	isLoad := class == bpf.ClassLDX && instruction.Source() == bpf.FramePointer
	isStore := (class == bpf.ClassST || class == bpf.ClassSTX) && instruction.Destination() == bpf.FramePointer
	if !isLoad && !isStore {
		return abi.OK
	}
	low := int(instruction.Offset)
	if low < -bpf.StackBytes || low+bpf.SizeBytes(instruction.Opcode) > 0 {
		return abi.ErrStackBound
	}
	w.candidate.stackBytes = max(w.candidate.stackBytes, uint32(-low))
	return abi.OK
}

// jumps checks every target and marks it.
func (w *Workspace) jumps() (at int, code abi.Code) {
	program := w.instructions[:w.candidate.count]
	for index, instruction := range program {
		if w.flags[index]&flagStart == 0 || !instruction.IsJump() || instruction.Opcode == bpf.OpcodeExit {
			continue
		}
		target := bpf.JumpTarget(instruction, index)
		if target < 0 || target >= len(program) || w.flags[target]&flagStart == 0 {
			return index, abi.ErrJumpOutside
		}
		if target <= index {
			return index, abi.ErrBackEdge
		}
		w.flags[target] |= flagTarget
	}
	return 0, abi.OK
}

// reach walks in program order, which is an order of execution.
func (w *Workspace) reach() (at int, code abi.Code) {
	program := w.instructions[:w.candidate.count]
	w.flags[0] |= flagReachable
	for index, instruction := range program {
		if w.flags[index]&flagStart == 0 {
			continue
		}
		if w.flags[index]&flagReachable == 0 {
			return index, abi.ErrUnreachable
		}
		if instruction.Opcode == bpf.OpcodeExit {
			continue
		}
		if instruction.IsJump() {
			w.flags[bpf.JumpTarget(instruction, index)] |= flagReachable
			if !instruction.IsConditional() {
				continue
			}
		}
		next := index + slotsOf(instruction)
		if next >= len(program) {
			return index, abi.ErrFallsThrough
		}
		w.flags[next] |= flagReachable
	}
	return 0, abi.OK
}

// measure walks backwards: the longest path from a slot is one more than the
// longest from any successor, all of which lie behind it.
func (w *Workspace) measure() {
	program := w.instructions[:w.candidate.count]
	w.candidate.blocks = 1
	for index := len(program) - 1; index >= 0; index-- {
		if w.flags[index]&flagStart == 0 {
			continue
		}
		instruction := program[index]
		longest := uint32(0)
		if instruction.IsJump() && instruction.Opcode != bpf.OpcodeExit {
			longest = w.longest[bpf.JumpTarget(instruction, index)]
		}
		if !instruction.IsJump() || instruction.IsConditional() {
			longest = max(longest, w.longest[index+slotsOf(instruction)])
		}
		w.longest[index] = longest + 1
		if w.flags[index]&flagTarget != 0 || index > 0 && program[index-1].IsJump() && w.flags[index-1]&flagStart != 0 {
			w.candidate.blocks++
		}
	}
	w.candidate.longestPath = w.longest[0]
}

func slotsOf(instruction bpf.Instruction) int {
	if instruction.IsWide() {
		return 2
	}
	return 1
}
