package verify

import "github.com/kingly-os/go-kernel/kernel/svc/bpf"

// Liveness: which registers and stack slots may still be read from each
// instruction on. All jumps go forward, so one backward pass is exact.

const allSlots = ^uint64(0)

// effect is what one instruction reads and writes.
type effect struct {
	reads, writes           uint16
	readsSlots, writesSlots uint64
}

func (w *Workspace) liveness(count int) {
	framePointerEscapes := false
	for slot := 0; slot < count; slot++ {
		if w.program[slot].IsWide() {
			slot++
			continue
		}
		framePointerEscapes = framePointerEscapes || escapes(w.program[slot])
	}
	for slot := count - 1; slot >= 0; slot-- {
		isSecondHalf := slot > 0 && w.program[slot].Opcode == 0 && w.program[slot-1].IsWide()
		if isSecondHalf {
			continue
		}
		instruction := w.program[slot]
		var registers uint16
		var slots uint64
		if instruction.IsJump() && instruction.Opcode != bpf.OpcodeExit {
			target := bpf.JumpTarget(instruction, slot)
			registers, slots = w.liveRegisters[target], w.liveSlots[target]
		}
		if !instruction.IsJump() || instruction.IsConditional() {
			next := slot + 1
			if instruction.IsWide() {
				next++
			}
			registers |= w.liveRegisters[next]
			slots |= w.liveSlots[next]
		}
		e := effectOf(instruction)
		w.liveRegisters[slot] = registers&^e.writes | e.reads
		w.liveSlots[slot] = slots&^e.writesSlots | e.readsSlots
		if framePointerEscapes {
			w.liveSlots[slot] = allSlots
		}
	}
}

// escapes says that r10 is used for anything but the base of a direct access.
func escapes(instruction bpf.Instruction) bool {
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		return instruction.FromRegister() && instruction.Operation() != bpf.OperationEnd && instruction.Source() == bpf.FramePointer
	case bpf.ClassSTX:
		return instruction.Source() == bpf.FramePointer
	}
	return false
}

func effectOf(instruction bpf.Instruction) effect {
	destination, source := uint16(1)<<instruction.Destination(), uint16(1)<<instruction.Source()
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		e := effect{reads: destination, writes: destination}
		if instruction.Operation() == bpf.OperationMov {
			e.reads = 0
		}
		if instruction.FromRegister() && instruction.Operation() != bpf.OperationEnd {
			e.reads |= source
		}
		return e
	case bpf.ClassJMP, bpf.ClassJMP32:
		return jumpEffect(instruction, destination, source)
	case bpf.ClassLD:
		return effect{writes: destination}
	case bpf.ClassLDX:
		e := effect{reads: source, writes: destination}
		if instruction.Source() == bpf.FramePointer {
			e.readsSlots = slotBit(instruction)
		}
		return e
	}
	e := effect{reads: destination}
	if instruction.Class() == bpf.ClassSTX {
		e.reads |= source
	}
	if instruction.Destination() == bpf.FramePointer && bpf.SizeBytes(instruction.Opcode) == 8 {
		e.writesSlots = slotBit(instruction)
	}
	return e
}

func jumpEffect(instruction bpf.Instruction, destination, source uint16) effect {
	if instruction.Opcode == bpf.OpcodeExit {
		return effect{reads: 1}
	}
	if !instruction.IsConditional() {
		return effect{}
	}
	if instruction.FromRegister() {
		return effect{reads: destination | source}
	}
	return effect{reads: destination}
}

// slotBit is the slot of a direct access; analyze has bounded the offset.
func slotBit(instruction bpf.Instruction) uint64 {
	return 1 << ((-int(instruction.Offset) - 1) / 8)
}
