package verify

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Jumps: exits, decided and undecided branches, and the comparison of a packet
// pointer with the packet's end.

// packetRangeMax bounds what a comparison can teach; as Linux's MAX_PACKET_OFF.
const packetRangeMax = 0xffff

func (w *Workspace) jump(instruction bpf.Instruction) bool {
	switch instruction.Opcode {
	case bpf.OpcodeExit:
		return w.exit()
	case bpf.OpcodeGoto, bpf.OpcodeGotoLong:
		w.slot = bpf.JumpTarget(instruction, w.slot)
		return true
	case bpf.OpcodeCall, bpf.OpcodeCallReg:
		return w.refuse(abi.ErrUnknownHelper, -1, 0, uint64(instruction.Immediate))
	}
	left := w.readable(instruction.Destination())
	if left == nil {
		return false
	}
	right := w.secondOperand(instruction)
	if right == nil {
		return false
	}
	is32 := instruction.Class() == bpf.ClassJMP32
	if left.Kind == KindScalar && right.Kind == KindScalar {
		return w.compareNumbers(instruction, left, right, is32)
	}
	if !is32 && left.Kind == KindPacket && right.Kind == KindPacketEnd {
		return w.comparePacket(instruction.Operation(), left, bpf.JumpTarget(instruction, w.slot))
	}
	if !is32 && left.Kind == KindPacketEnd && right.Kind == KindPacket {
		return w.comparePacket(swapSides(instruction.Operation()), right, bpf.JumpTarget(instruction, w.slot))
	}
	if w.Rules == RulesLenient {
		return w.fork(bpf.JumpTarget(instruction, w.slot)) != nil || w.fault.Code == abi.OK
	}
	return w.refuse(abi.ErrLeak, int(instruction.Destination()), uint64(left.Kind), uint64(right.Kind))
}

// exit ends a path: r0 must be a number, and one that the hook knows.
func (w *Workspace) exit() bool {
	r0 := w.readable(0)
	if r0 == nil {
		return false
	}
	if r0.Kind != KindScalar {
		if w.Rules != RulesLenient || w.kind == bpf.TypeHook {
			return w.refuse(abi.ErrLeak, 0, uint64(KindScalar), uint64(r0.Kind))
		}
	} else if w.kind == bpf.TypeHook && r0.Scalar.UMax > abi.NetRXRedirect {
		return w.refuse(abi.ErrReturnValue, 0, abi.NetRXRedirect, r0.Scalar.UMax)
	}
	w.exits++
	return false
}

// fork queues the taken branch and returns its state to be narrowed; the
// current state goes on at the next slot.
func (w *Workspace) fork(target int) *State {
	if w.pendings >= pendingMax {
		w.refuse(abi.ErrComplexity, -1, pendingMax, uint64(w.pendings))
		return nil
	}
	entry := &w.pending[w.pendings]
	w.pendings++
	entry.slot = int32(target)
	entry.state.CopyFrom(&w.current)
	w.slot++
	return &entry.state
}

// compareNumbers follows one or both branches, each with what it teaches.
func (w *Workspace) compareNumbers(instruction bpf.Instruction, left, right *Register, is32 bool) bool {
	operation := instruction.Operation()
	target := bpf.JumpTarget(instruction, w.slot)
	if instruction.FromRegister() && instruction.Source() == instruction.Destination() && operation != bpf.JumpSet {
		// A number compared with itself.
		switch operation {
		case bpf.JumpEqual, bpf.JumpGreaterEqual, bpf.JumpLessEqual, bpf.JumpSignedGreaterEq, bpf.JumpSignedLessEqual:
			w.slot = target
		default:
			w.slot++
		}
		return true
	}
	w.takenLeft, w.takenRight = left.Scalar, right.Scalar
	w.elseLeft, w.elseRight = left.Scalar, right.Scalar
	canTake := rules.refine(operation, is32, &w.takenLeft, &w.takenRight)
	canPass := rules.refine(complement[operation>>4], is32, &w.elseLeft, &w.elseRight)
	switch {
	case !canTake && !canPass:
		return false // nothing satisfies the state: this path is not real
	case canTake && canPass:
		taken := w.fork(target)
		if taken == nil {
			return false
		}
		taken.learn(instruction, &w.takenLeft, &w.takenRight)
		w.current.learn(instruction, &w.elseLeft, &w.elseRight)
	case canTake:
		w.current.learn(instruction, &w.takenLeft, &w.takenRight)
		w.slot = target
	default:
		w.current.learn(instruction, &w.elseLeft, &w.elseRight)
		w.slot++
	}
	return true
}

// learn stores the narrowed operands and tells everything linked to them.
func (s *State) learn(instruction bpf.Instruction, left, right *Scalar) {
	r := &s.registers[instruction.Destination()]
	r.Scalar = *left
	s.linkedScalar(r.ID, left)
	if instruction.FromRegister() && instruction.Source() != instruction.Destination() {
		r = &s.registers[instruction.Source()]
		r.Scalar = *right
		s.linkedScalar(r.ID, right)
	}
}

// swapSides turns `end OP pointer` into `pointer OP end`.
func swapSides(operation uint8) uint8 {
	switch operation {
	case bpf.JumpGreater:
		return bpf.JumpLess
	case bpf.JumpGreaterEqual:
		return bpf.JumpLessEqual
	case bpf.JumpLess:
		return bpf.JumpGreater
	case bpf.JumpLessEqual:
		return bpf.JumpGreaterEqual
	}
	return operation
}

// comparePacket handles `pointer OP end`. Where pointer <= end holds, all
// bytes from the base to the pointer are in the packet; where pointer < end
// holds, one byte more is.
func (w *Workspace) comparePacket(operation uint8, pointer *Register, target int) bool {
	var takenTeaches, takenOpen, passTeaches, passOpen bool
	switch operation {
	case bpf.JumpGreater:
		passTeaches = true
	case bpf.JumpGreaterEqual:
		passTeaches, passOpen = true, true
	case bpf.JumpLess:
		takenTeaches, takenOpen = true, true
	case bpf.JumpLessEqual:
		takenTeaches = true
	default:
		if w.Rules != RulesLenient {
			return w.refuse(abi.ErrLeak, -1, uint64(KindScalar), uint64(KindPacket))
		}
	}
	taken := w.fork(target)
	if taken == nil {
		return false
	}
	if takenTeaches {
		if bytes, learnt := rules.packetRange(pointer, takenOpen); learnt {
			taken.widenPacketRange(pointer.ID, bytes)
		}
	}
	if passTeaches {
		if bytes, learnt := rules.packetRange(pointer, passOpen); learnt {
			w.current.widenPacketRange(pointer.ID, bytes)
		}
	}
	return true
}

// packetRange is how many bytes from the pointer's base on are in the packet
// if the pointer is not behind the end (open: strictly before it).
func packetRange(r *Register, open bool) (bytes uint16, learnt bool) {
	if r.Offset < 0 || r.Scalar.UMax > packetRangeMax || r.Scalar.UMax+uint64(r.Offset) > packetRangeMax {
		return 0, false
	}
	bytes = uint16(r.Offset)
	if open && bytes < packetRangeMax {
		bytes++
	}
	return bytes, true
}
