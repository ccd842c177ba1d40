package arm64

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Bits of the distance fields (C4.1.66).
const (
	branchBits    = 26
	branchIfBits  = 19
	branchBitBits = 14
)

// jump is every instruction of the classes JMP and JMP32.
func (c *Compiler) jump(slot int) {
	instruction := c.program[slot]
	compared := c.compared
	c.compared = 0
	switch {
	case instruction.Opcode == bpf.OpcodeExit:
		c.move(true, resultRegister, machineRegisters[0])
		c.leave()
	case instruction.Opcode == bpf.OpcodeGoto || instruction.Opcode == bpf.OpcodeGotoLong:
		target := bpf.JumpTarget(instruction, slot)
		if target != slot+1 && !c.leavesAt(target) {
			c.emit(branch(c.distance(target, branchBits)))
		}
	case instruction.IsConditional():
		c.conditional(instruction, bpf.JumpTarget(instruction, slot), compared)
	default:
		c.refuse(abi.ErrUnsupported) // calls
	}
}

// conditional is a comparison and a branch, or one instruction that is both.
func (c *Compiler) conditional(instruction bpf.Instruction, target int, compared uint32) {
	is64 := instruction.Class() == bpf.ClassJMP
	n := c.source(instruction.Destination(), scratch)
	isTest := instruction.Operation() == bpf.JumpSet
	if instruction.FromRegister() {
		m := c.source(instruction.Source(), scratch2)
		operation := uint32(compareRegister)
		if isTest {
			operation = testRegister
		}
		c.compare(threeRegisters(operation, is64, zero, n, m), compared, n != scratch && m != scratch2)
		c.emit(branchIf(conditionOf(instruction.Operation()), c.distance(target, branchIfBits)))
		return
	}
	value := uint64(int64(instruction.Immediate))
	if !is64 {
		value = uint64(uint32(value))
	}
	if c.conditionalShort(instruction, is64, n, value, target) {
		return
	}
	if isTest {
		c.test(is64, n, value)
	} else {
		c.compareNumber(is64, n, value, compared)
	}
	c.emit(branchIf(conditionOf(instruction.Operation()), c.distance(target, branchIfBits)))
}

// conditionalShort emits the comparisons with zero and the tests of one bit
// that are a single instruction.
func (c *Compiler) conditionalShort(instruction bpf.Instruction, is64 bool, n register, value uint64, target int) bool {
	signBit, minusOne := uint32(63), ^uint64(0)
	if !is64 {
		signBit, minusOne = 31, 0xffffffff
	}
	operation := instruction.Operation()
	switch {
	case value == 0 && (operation == bpf.JumpEqual || operation == bpf.JumpLessEqual) || value == 1 && operation == bpf.JumpLess:
		c.emit(branchZero(is64, false, n, c.distance(target, branchIfBits)))
	case value == 0 && (operation == bpf.JumpNotEqual || operation == bpf.JumpGreater) || value == 1 && operation == bpf.JumpGreaterEqual:
		c.emit(branchZero(is64, true, n, c.distance(target, branchIfBits)))
	case value == 0 && operation == bpf.JumpSignedLess || value == minusOne && operation == bpf.JumpSignedLessEqual:
		c.emit(branchBit(true, n, signBit, c.distance(target, branchBitBits)))
	case value == 0 && operation == bpf.JumpSignedGreaterEq || value == minusOne && operation == bpf.JumpSignedGreater:
		c.emit(branchBit(false, n, signBit, c.distance(target, branchBitBits)))
	case operation == bpf.JumpSet && bits.OnesCount64(value) == 1:
		c.emit(branchBit(true, n, uint32(bits.TrailingZeros64(value)), c.distance(target, branchBitBits)))
	default:
		return false
	}
	return true
}

// compare emits a comparison, unless the flags of the same one still stand.
// lasting says that its operands are no scratch registers.
func (c *Compiler) compare(word, compared uint32, lasting bool) {
	if word != compared {
		c.emit(word)
	}
	if lasting {
		c.compared = word
	}
}

// compareNumber may add the negative instead: for any number but zero, carry
// and overflow come out the same.
func (c *Compiler) compareNumber(is64 bool, n register, value uint64, compared uint32) {
	negative := -value
	if !is64 {
		negative = uint64(uint32(negative))
	}
	switch {
	case fits12(value):
		c.compare(arithmeticImmediate(compareImmediate, is64, zero, n, value), compared, n != scratch)
	case fits12(negative):
		c.compare(arithmeticImmediate(compareNegative, is64, zero, n, negative), compared, n != scratch)
	default:
		c.constant(scratch2, value)
		c.emit(threeRegisters(compareRegister, is64, zero, n, scratch2))
	}
}

func (c *Compiler) test(is64 bool, n register, value uint64) {
	if fields, fits := bitMask(value, is64); fits {
		c.emit(logicalImmediate(testImmediate, is64, zero, n, fields))
		return
	}
	c.constant(scratch2, value)
	c.emit(threeRegisters(testRegister, is64, zero, n, scratch2))
}

func conditionOf(operation uint8) condition {
	switch operation {
	case bpf.JumpEqual:
		return equal
	case bpf.JumpGreater:
		return higher
	case bpf.JumpGreaterEqual:
		return higherOrSame
	case bpf.JumpLess:
		return lower
	case bpf.JumpLessEqual:
		return lowerOrSame
	case bpf.JumpSignedGreater:
		return greaterThan
	case bpf.JumpSignedGreaterEq:
		return greaterEqual
	case bpf.JumpSignedLess:
		return lessThan
	case bpf.JumpSignedLessEqual:
		return lessEqual
	}
	return notEqual // and the test of bits
}
