package arm64

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Arithmetic. A64 has three operands where eBPF has two, so `rA = rB; rA op= x`
// is one instruction: the move only says which register comes first.

// lowerArithmetic emits the instruction at slot and what it can take along.
func (c *Compiler) lowerArithmetic(slot int) (next int) {
	instruction := c.program[slot]
	if instruction.Operation() != bpf.OperationMov {
		return c.operate(slot, instruction.Destination())
	}
	if c.follows(slot+1) && c.setsResult(slot) {
		return c.moveAndLeave(slot)
	}
	if c.namesFirst(slot) {
		return c.operate(slot+1, instruction.Source())
	}
	c.moves(instruction)
	return slot + 1
}

func isArithmetic(instruction bpf.Instruction) bool {
	return instruction.Class() == bpf.ClassALU || instruction.Class() == bpf.ClassALU64
}

func (c *Compiler) moveAndLeave(slot int) (next int) {
	c.result(c.program[slot])
	c.leave()
	return slot + 2
}

// namesFirst says that the move at slot can be folded into the operation
// behind it: same destination, and no bit lost that the move would clear.
func (c *Compiler) namesFirst(slot int) bool {
	move := c.program[slot]
	if !move.FromRegister() || move.Offset != 0 || !c.follows(slot+1) {
		return false
	}
	operation := c.program[slot+1]
	class := operation.Class()
	if !isArithmetic(operation) || operation.Operation() == bpf.OperationMov || operation.Destination() != move.Destination() {
		return false
	}
	if move.Class() == bpf.ClassALU && (class == bpf.ClassALU64 || operation.Operation() == bpf.OperationEnd) {
		return false
	}
	if move.Source() == bpf.FramePointer {
		return class == bpf.ClassALU64 && operation.Opcode == bpf.ClassALU64|bpf.OperationAdd
	}
	return true
}

// moves is a move that stands alone.
func (c *Compiler) moves(instruction bpf.Instruction) {
	is64 := instruction.Class() == bpf.ClassALU64
	d := machineRegisters[instruction.Destination()]
	if !instruction.FromRegister() {
		value := uint64(int64(instruction.Immediate))
		if !is64 {
			value = uint64(uint32(value))
		}
		c.constant(d, value)
		return
	}
	switch {
	case instruction.Offset != 0:
		n := c.source(instruction.Source(), scratch)
		c.emit(bitField(bitFieldSigned, is64, d, n, 0, uint32(instruction.Offset)-1))
	case instruction.Source() == bpf.FramePointer && is64:
		c.source(bpf.FramePointer, d)
	case !is64 && instruction.Source() == instruction.Destination() && c.holdsAtMost(instruction.Source(), 32):
		// the upper half is clear already
	default:
		c.move(is64, d, c.source(instruction.Source(), scratch))
	}
}

// holdsAtMost says that the instruction before loaded so few bits.
func (c *Compiler) holdsAtMost(number uint8, count uint32) bool {
	return c.narrowBits != 0 && c.narrow == number && c.narrowBits <= count
}

// operate emits the operation at slot with the register first as its first
// operand.
func (c *Compiler) operate(slot int, first uint8) (next int) {
	instruction := c.program[slot]
	is64 := instruction.Class() == bpf.ClassALU64
	d := machineRegisters[instruction.Destination()]
	if first == bpf.FramePointer {
		c.frameAddress(d, int64(instruction.Immediate))
		return slot + 1
	}
	n := machineRegisters[first&15]
	switch {
	case instruction.Operation() == bpf.OperationEnd:
		c.swap(instruction, d, n, first)
	case instruction.Operation() == bpf.OperationNeg:
		c.emit(threeRegisters(subtractRegister, is64, d, zero, n))
	case instruction.FromRegister():
		// rA = rB; rA op= rA: the second operand is rB as well
		second := instruction.Source()
		if second == instruction.Destination() {
			second = first
		}
		c.withRegister(instruction, is64, d, n, c.source(second, scratch))
	case c.shiftPair(slot, is64, d, n):
		return slot + 2
	default:
		value := uint64(int64(instruction.Immediate))
		if !is64 {
			value = uint64(uint32(value))
		}
		c.withNumber(instruction, is64, d, n, value)
	}
	return slot + 1
}

// frameAddress computes r10 + offset.
func (c *Compiler) frameAddress(d register, offset int64) {
	if place := int64(c.frame) + offset; place >= 0 && place <= 0xfff {
		c.emit(arithmeticImmediate(addImmediate, true, d, stackPointer, uint64(place)))
		return
	}
	c.source(bpf.FramePointer, d)
	c.add(true, d, d, uint64(offset))
}

// shiftPair recognises two shifts, or a shift and a mask, that cut out a field.
func (c *Compiler) shiftPair(slot int, is64 bool, d, n register) bool {
	first := c.program[slot]
	if !c.follows(slot + 1) {
		return false
	}
	second := c.program[slot+1]
	if second.Class() != first.Class() || second.Destination() != first.Destination() || second.FromRegister() {
		return false
	}
	last := uint32(63)
	if !is64 {
		last = 31
	}
	a, b := uint32(first.Immediate)&last, uint32(second.Immediate)&last
	operation := uint32(bitFieldUnsigned)
	switch {
	case first.Operation() == bpf.OperationLsh && second.Operation() == bpf.OperationArsh:
		operation = bitFieldSigned
	case first.Operation() == bpf.OperationLsh && second.Operation() == bpf.OperationRsh:
	case first.Operation() == bpf.OperationRsh && second.Operation() == bpf.OperationAnd:
		ones := uint32(bits.Len32(uint32(second.Immediate)))
		if second.Immediate <= 0 || second.Immediate&(second.Immediate+1) != 0 {
			return false
		}
		c.emit(bitField(operation, is64, d, n, a, min(a+ones-1, last)))
		return true
	default:
		return false
	}
	// Bits 0 to last-a survive the first shift and end a-b places higher.
	c.emit(bitField(operation, is64, d, n, (b-a)&last, last-a))
	return true
}

// withRegister is d = n op m.
func (c *Compiler) withRegister(instruction bpf.Instruction, is64 bool, d, n, m register) {
	operation := uint32(0)
	switch instruction.Operation() {
	case bpf.OperationAdd:
		operation = addRegister
	case bpf.OperationSub:
		operation = subtractRegister
	case bpf.OperationOr:
		operation = orRegister
	case bpf.OperationAnd:
		operation = andRegister
	case bpf.OperationXor:
		operation = xorRegister
	case bpf.OperationLsh:
		operation = shiftLeft
	case bpf.OperationRsh:
		operation = shiftRight
	case bpf.OperationArsh:
		operation = shiftRightSigned
	case bpf.OperationMul:
		c.emit(fourRegisters(multiplyAdd, is64, d, n, m, zero))
		return
	case bpf.OperationDiv, bpf.OperationMod:
		c.divide(instruction, is64, d, n, m)
		return
	default:
		c.refuse(abi.ErrUnsupported)
		return
	}
	c.emit(threeRegisters(operation, is64, d, n, m))
}

// divide needs no tests: the machine gives 0 for x / 0 and wraps the smallest
// number by -1 (C6.2.390, C6.2.268), which is what RFC 9669 section 4.1 asks
// for, and x - (x / 0) * 0 is the x it wants for x % 0.
func (c *Compiler) divide(instruction bpf.Instruction, is64 bool, d, n, m register) {
	operation := uint32(divideUnsigned)
	if instruction.Offset == 1 {
		operation = divideSigned
	}
	if instruction.Operation() == bpf.OperationDiv {
		c.emit(threeRegisters(operation, is64, d, n, m))
		return
	}
	c.emit(threeRegisters(operation, is64, scratch2, n, m))
	c.emit(fourRegisters(multiplySubtract, is64, d, scratch2, m, n))
}

// withNumber is d = n op value, value having the operation's width.
func (c *Compiler) withNumber(instruction bpf.Instruction, is64 bool, d, n register, value uint64) {
	isPower := value != 0 && value&(value-1) == 0
	power := uint32(bits.TrailingZeros64(value))
	signed := instruction.Offset == 1
	switch operation := instruction.Operation(); {
	case operation == bpf.OperationAdd:
		c.add(is64, d, n, value)
	case operation == bpf.OperationSub:
		c.add(is64, d, n, -value)
	case operation == bpf.OperationAnd, operation == bpf.OperationOr, operation == bpf.OperationXor:
		c.logical(instruction, is64, d, n, value)
	case operation == bpf.OperationLsh, operation == bpf.OperationRsh, operation == bpf.OperationArsh:
		c.shift(operation, is64, d, n, uint32(value))
	case operation == bpf.OperationMul && isPower:
		c.shift(bpf.OperationLsh, is64, d, n, power)
	case operation == bpf.OperationDiv && isPower && !signed:
		c.shift(bpf.OperationRsh, is64, d, n, power)
	case operation == bpf.OperationMod && isPower && !signed && value > 1:
		fields, _ := bitMask(value-1, is64)
		c.emit(logicalImmediate(andImmediate, is64, d, n, fields))
	default:
		c.constant(scratch, value)
		c.withRegister(instruction, is64, d, n, scratch)
	}
}

func (c *Compiler) add(is64 bool, d, n register, value uint64) {
	negative := -value
	if !is64 {
		value, negative = uint64(uint32(value)), uint64(uint32(negative))
	}
	switch {
	case value == 0:
		c.move(is64, d, n)
	case fits12(value):
		c.emit(arithmeticImmediate(addImmediate, is64, d, n, value))
	case fits12(negative):
		c.emit(arithmeticImmediate(subtractImmediate, is64, d, n, negative))
	default:
		c.constant(scratch, value)
		c.emit(threeRegisters(addRegister, is64, d, n, scratch))
	}
}

func (c *Compiler) logical(instruction bpf.Instruction, is64 bool, d, n register, value uint64) {
	operation := uint32(andImmediate)
	switch instruction.Operation() {
	case bpf.OperationOr:
		operation = orImmediate
	case bpf.OperationXor:
		operation = xorImmediate
	}
	if fields, fits := bitMask(value, is64); fits {
		c.emit(logicalImmediate(operation, is64, d, n, fields))
		return
	}
	if value == 0 && operation != andImmediate {
		c.move(is64, d, n)
		return
	}
	c.constant(scratch, value)
	c.withRegister(instruction, is64, d, n, scratch)
}

// shift is by a constant; counts are masked as the interpreter does.
func (c *Compiler) shift(operation uint8, is64 bool, d, n register, count uint32) {
	last := uint32(63)
	if !is64 {
		last = 31
	}
	count &= last
	switch {
	case count == 0:
		c.move(is64, d, n)
	case operation == bpf.OperationLsh:
		c.emit(bitField(bitFieldUnsigned, is64, d, n, (-count)&last, last-count))
	case operation == bpf.OperationRsh:
		c.emit(bitField(bitFieldUnsigned, is64, d, n, count, last))
	default:
		c.emit(bitField(bitFieldSigned, is64, d, n, count, last))
	}
}

// swap is le16 to le64, be16 to be64 and bswap16 to bswap64 on a machine that
// is little-endian itself.
func (c *Compiler) swap(instruction bpf.Instruction, d, n register, first uint8) {
	swaps := instruction.Class() == bpf.ClassALU64 || instruction.FromRegister()
	count := uint32(instruction.Immediate)
	switch {
	case swaps && count == 16:
		c.emit(twoRegisters(swapIn16, d, n))
		if !c.holdsAtMost(first, 16) {
			c.emit(bitField(bitFieldUnsigned, false, d, d, 0, 15))
		}
	case swaps && count == 32:
		c.emit(twoRegisters(swapIn32, d, n))
	case swaps:
		c.emit(twoRegisters(swapIn64, d, n))
	case count == 64 || c.holdsAtMost(first, count):
		c.move(true, d, n)
	default:
		c.emit(bitField(bitFieldUnsigned, false, d, n, 0, count-1))
	}
}
