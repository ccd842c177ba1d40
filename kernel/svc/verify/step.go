package verify

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// One instruction on one path: arithmetic and what surrounds it.

// offsetMax bounds what may be added to a pointer, so that sums cannot wrap.
const offsetMax = 1 << 29

// step interprets the instruction at w.slot. It returns false when this path
// ends: at an exit, at a dead branch, or because the program is refused.
func (w *Workspace) step() bool {
	instruction := w.program[w.slot]
	goesOn := true
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		goesOn = w.arithmetic(instruction)
	case bpf.ClassJMP, bpf.ClassJMP32:
		return w.jump(instruction)
	case bpf.ClassLD:
		value := uint64(uint32(instruction.Immediate)) | uint64(uint32(w.program[w.slot+1].Immediate))<<32
		w.current.registers[instruction.Destination()] = numberRegister(constantScalar(value))
		w.slot += 2
		return true
	case bpf.ClassLDX:
		goesOn = w.load(instruction)
	case bpf.ClassST, bpf.ClassSTX:
		goesOn = w.store(instruction)
	}
	w.slot++
	return goesOn
}

func numberRegister(s Scalar) Register { return Register{Kind: KindScalar, Scalar: s} }

// readable returns a register that was written, or refuses.
func (w *Workspace) readable(number uint8) *Register {
	r := &w.current.registers[number]
	if r.Kind == KindNone {
		w.refuse(abi.ErrUninitialised, int(number), uint64(KindScalar), uint64(KindNone))
		return nil
	}
	return r
}

// secondOperand is the source register or the immediate as a number register.
func (w *Workspace) secondOperand(instruction bpf.Instruction) *Register {
	if instruction.FromRegister() {
		return w.readable(instruction.Source())
	}
	w.immediate = numberRegister(constantScalar(uint64(int64(instruction.Immediate))))
	return &w.immediate
}

func (w *Workspace) arithmetic(instruction bpf.Instruction) bool {
	is32 := instruction.Class() == bpf.ClassALU
	destination := &w.current.registers[instruction.Destination()]
	switch instruction.Operation() {
	case bpf.OperationEnd, bpf.OperationNeg:
		return w.unary(instruction, is32)
	}
	second := w.secondOperand(instruction)
	if second == nil {
		return false
	}
	if instruction.Operation() == bpf.OperationMov {
		return w.move(instruction, destination, second, is32)
	}
	if w.readable(instruction.Destination()) == nil || !w.constantsAllowed(instruction, is32) {
		return false
	}
	if destination.Kind != KindScalar || second.Kind != KindScalar {
		return w.pointerArithmetic(instruction, destination, second, is32)
	}
	signed := instruction.Offset == 1
	id := destination.ID
	if is32 {
		*destination = numberRegister(rules.arithmetic32(instruction.Operation(), signed, destination.Scalar, second.Scalar))
	} else {
		*destination = numberRegister(arithmetic64(instruction.Operation(), signed, destination.Scalar, second.Scalar))
	}
	if !rules.unlinks {
		destination.ID = id
	}
	return true
}

// constantsAllowed refuses what Linux refuses at load: division by the
// constant 0 and constant shifts by the width or more.
func (w *Workspace) constantsAllowed(instruction bpf.Instruction, is32 bool) bool {
	if instruction.FromRegister() {
		return true
	}
	width := int32(64)
	if is32 {
		width = 32
	}
	switch instruction.Operation() {
	case bpf.OperationDiv, bpf.OperationMod:
		if instruction.Immediate == 0 {
			return w.refuse(abi.ErrDivideByZero, int(instruction.Destination()), 1, 0)
		}
	case bpf.OperationLsh, bpf.OperationRsh, bpf.OperationArsh:
		if instruction.Immediate < 0 || instruction.Immediate >= width {
			return w.refuse(abi.ErrShiftRange, int(instruction.Destination()), uint64(width), uint64(instruction.Immediate))
		}
	}
	return true
}

// unary is negation and the byte swaps.
func (w *Workspace) unary(instruction bpf.Instruction, is32 bool) bool {
	r := w.readable(instruction.Destination())
	if r == nil {
		return false
	}
	if r.Kind != KindScalar && w.Rules == RulesLenient {
		*r = numberRegister(unknownScalar)
		return true
	}
	if r.Kind != KindScalar {
		return w.refuse(abi.ErrPointerMath, int(instruction.Destination()), uint64(KindScalar), uint64(r.Kind))
	}
	value := r.Scalar
	if instruction.Operation() == bpf.OperationNeg {
		zero := constantScalar(0)
		if is32 {
			value = rules.arithmetic32(bpf.OperationSub, false, zero, value)
		} else {
			value = arithmetic64(bpf.OperationSub, false, zero, value)
		}
	} else {
		// be* swaps on this little-endian machine, le* only cuts; bswap always swaps.
		swaps := !is32 || instruction.FromRegister()
		value = swapBytes(value, swaps, instruction.Immediate)
	}
	*r = numberRegister(value)
	return true
}

func (w *Workspace) move(instruction bpf.Instruction, destination, from *Register, is32 bool) bool {
	if from.Kind != KindScalar {
		if !is32 && instruction.Offset == 0 {
			*destination = *from
			return true
		}
		if w.Rules == RulesLenient {
			value := unknownScalar
			if is32 {
				value = low32(value)
			}
			*destination = numberRegister(value)
			return true
		}
		return w.refuse(abi.ErrLeak, int(instruction.Source()), uint64(KindScalar), uint64(from.Kind))
	}
	if instruction.Offset != 0 {
		value := signExtend(from.Scalar, uint(instruction.Offset))
		if is32 {
			value = low32(value)
		}
		*destination = numberRegister(value)
		return true
	}
	if is32 && from.Scalar.UMax > 0xffffffff {
		*destination = numberRegister(low32(from.Scalar))
		return true
	}
	// A plain copy: what is learnt of one is learnt of the other.
	if instruction.FromRegister() && !from.Scalar.IsConstant() && from.ID == 0 {
		from.ID = w.newID()
	}
	*destination = *from
	return true
}

func (w *Workspace) newID() uint32 {
	w.nextID++
	return w.nextID
}

// pointerArithmetic is pointer +- number, number + pointer, and under lenient
// rules the difference of two pointers.
func (w *Workspace) pointerArithmetic(instruction bpf.Instruction, destination, second *Register, is32 bool) bool {
	operation := instruction.Operation()
	number := instruction.Destination()
	if is32 && operation == bpf.OperationSub && w.Rules == RulesLenient {
		*destination = numberRegister(low32(unknownScalar)) // half an address
		return true
	}
	if is32 || operation != bpf.OperationAdd && operation != bpf.OperationSub {
		return w.refuse(abi.ErrPointerMath, int(number), uint64(KindScalar), uint64(destination.Kind))
	}
	pointer, amount := *destination, second.Scalar
	if destination.Kind == KindScalar {
		if operation == bpf.OperationSub {
			return w.refuse(abi.ErrPointerMath, int(number), uint64(second.Kind), uint64(KindScalar))
		}
		pointer, amount = *second, destination.Scalar
	} else if second.Kind != KindScalar {
		if operation == bpf.OperationSub && w.Rules == RulesLenient {
			*destination = numberRegister(unknownScalar)
			return true
		}
		return w.refuse(abi.ErrPointerMath, int(number), uint64(KindScalar), uint64(second.Kind))
	}
	// As Linux, nothing is subtracted from a pointer to the stack.
	if pointer.Kind == KindPacketEnd || pointer.Kind == KindStack && operation == bpf.OperationSub {
		return w.refuse(abi.ErrPointerMath, int(number), uint64(KindPacket), uint64(pointer.Kind))
	}
	if amount.SMin <= -offsetMax || amount.SMax >= offsetMax {
		return w.refuse(abi.ErrPointerMath, int(number), offsetMax, uint64(amount.SMax))
	}
	if amount.IsConstant() {
		offset := int64(pointer.Offset)
		if operation == bpf.OperationAdd {
			offset += int64(amount.Value)
		} else {
			offset -= int64(amount.Value)
		}
		if offset <= -offsetMax || offset >= offsetMax {
			return w.refuse(abi.ErrPointerMath, int(number), offsetMax, uint64(offset))
		}
		pointer.Offset = int32(offset)
		*destination = pointer
		return true
	}
	return w.variableOffset(operation, number, destination, pointer, amount)
}

// variableOffset moves a packet pointer by a number only known by its range:
// it gets a base of its own, of which nothing is known to be in the packet.
func (w *Workspace) variableOffset(operation, number uint8, destination *Register, pointer Register, amount Scalar) bool {
	if pointer.Kind != KindPacket {
		return w.refuse(abi.ErrPointerMath, int(number), uint64(KindPacket), uint64(pointer.Kind))
	}
	pointer.Scalar = arithmetic64(operation, false, pointer.Scalar, amount)
	if pointer.Scalar.SMin <= -offsetMax || pointer.Scalar.SMax >= offsetMax {
		return w.refuse(abi.ErrPointerMath, int(number), offsetMax, uint64(pointer.Scalar.SMax))
	}
	if rules.freshID {
		pointer.ID = w.newID()
		pointer.Range = 0
	}
	*destination = pointer
	return true
}
