package arm64

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// lower emits one instruction, or a few that belong together, and returns the
// slot to go on with.
func (c *Compiler) lower(slot int) (next int) {
	instruction := c.program[slot]
	compared, narrowBits := c.compared, c.narrowBits
	c.compared, c.narrowBits = 0, 0
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		c.narrowBits = narrowBits
		next = c.lowerArithmetic(slot)
		c.narrowBits = 0
		return next
	case bpf.ClassJMP, bpf.ClassJMP32:
		c.compared = compared
		c.jump(slot)
		return slot + 1
	case bpf.ClassLD:
		if !instruction.IsWide() || instruction.Source() != 0 || slot+1 >= len(c.program) {
			c.refuse(abi.ErrUnsupported)
			return slot + 1
		}
		c.constant(machineRegisters[instruction.Destination()], uint64(uint32(instruction.Immediate))|uint64(uint32(c.program[slot+1].Immediate))<<32)
		return slot + 2
	case bpf.ClassLDX:
		c.load(slot)
	default:
		c.store(instruction)
	}
	return slot + 1
}

// constant puts a number into a register in the fewest instructions of MOVZ,
// MOVN, MOVK and ORR with a mask.
func (c *Compiler) constant(d register, value uint64) {
	is64, parts := value>>32 != 0, uint32(4)
	inverted := ^value
	if !is64 {
		parts, inverted = 2, uint64(uint32(^value))
	}
	zeros, ones := uint32(0), uint32(0)
	for part := uint32(0); part < parts; part++ {
		if uint16(value>>(16*part)) == 0 {
			zeros++
		}
		if uint16(inverted>>(16*part)) == 0 {
			ones++
		}
	}
	if max(zeros, ones) < parts-1 {
		if fields, fits := bitMask(value, is64); fits {
			c.emit(logicalImmediate(orImmediate, is64, d, zero, fields))
			return
		}
	}
	operation, first, filler := uint32(moveZero), value, uint16(0)
	if ones > zeros {
		operation, first, filler = moveNot, inverted, 0xffff
	}
	started := false
	for part := uint32(0); part < parts; part++ {
		chunk := uint16(value >> (16 * part))
		switch {
		case chunk == filler && (started || part < parts-1):
		case started:
			c.emit(moveWide(moveKeep, is64, d, chunk, part))
		default:
			c.emit(moveWide(operation, is64, d, uint16(first>>(16*part)), part))
			started = true
		}
	}
}

// move copies a register; a 32-bit copy clears the upper half.
func (c *Compiler) move(is64 bool, d, n register) {
	if d != n || !is64 {
		c.emit(threeRegisters(orRegister, is64, d, zero, n))
	}
}

// load is a read of memory or of one of the context's two pointers.
func (c *Compiler) load(slot int) {
	instruction := c.program[slot]
	d := machineRegisters[instruction.Destination()]
	switch c.fields[slot] {
	case FieldPacketStart:
		c.move(true, d, packetRegister)
		return
	case FieldPacketEnd:
		c.emit(threeRegisters(addRegister, true, d, packetRegister, lengthRegister))
		return
	}
	size := sizeLog(instruction.Opcode)
	switch instruction.Opcode & bpf.ModeMask {
	case bpf.ModeMEM:
		c.access(accessLoad, size, d, instruction.Source(), int32(instruction.Offset))
		c.narrow, c.narrowBits = instruction.Destination(), uint32(8)<<size
	case bpf.ModeMEMSX:
		c.access(accessLoadSigned, size, d, instruction.Source(), int32(instruction.Offset))
	default:
		c.refuse(abi.ErrUnsupported)
	}
}

func (c *Compiler) store(instruction bpf.Instruction) {
	if instruction.Opcode&bpf.ModeMask != bpf.ModeMEM {
		c.refuse(abi.ErrUnsupported) // atomics
		return
	}
	size := sizeLog(instruction.Opcode)
	value := zero
	switch {
	case instruction.Class() == bpf.ClassSTX:
		value = c.source(instruction.Source(), scratch)
	case instruction.Immediate != 0:
		value = scratch
		c.constant(scratch, uint64(int64(instruction.Immediate))&(^uint64(0)>>(64-uint32(8)<<size)))
	}
	c.access(accessStore, size, value, instruction.Destination(), int32(instruction.Offset))
}

func sizeLog(opcode uint8) uint32 {
	switch opcode & bpf.SizeMask {
	case bpf.SizeB:
		return 0
	case bpf.SizeH:
		return 1
	case bpf.SizeW:
		return 2
	}
	return 3
}

// access picks the shortest addressing form that holds the offset.
func (c *Compiler) access(kind, size uint32, t register, baseNumber uint8, offset int32) {
	base := machineRegisters[baseNumber&15]
	if baseNumber == bpf.FramePointer {
		base, offset = stackPointer, offset+c.frame
	}
	switch {
	case offset >= 0 && offset&(1<<size-1) == 0 && offset>>size <= 0xfff:
		c.emit(accessScaled(kind, size, t, base, uint32(offset)))
	case offset >= -256 && offset <= 255:
		c.emit(accessUnscaled(kind, size, t, base, offset))
	default:
		c.constant(scratch2, uint64(int64(offset)))
		c.emit(accessIndexed(kind, size, t, base, scratch2))
	}
}

// leave ends the function.
func (c *Compiler) leave() {
	if c.frame > 0 {
		c.emit(arithmeticImmediate(addImmediate, true, stackPointer, stackPointer, uint64(c.frame)))
	}
	c.emit(returnWord)
}

// leavesAt says that slot is an exit, or `r0 = K; exit`, and emits it here:
// cheaper than a branch to it.
func (c *Compiler) leavesAt(slot int) bool {
	instruction := c.program[slot]
	if instruction.Opcode == bpf.OpcodeExit {
		c.move(true, resultRegister, machineRegisters[0])
		c.leave()
		return true
	}
	if !c.setsResult(slot) {
		return false
	}
	c.result(instruction)
	c.leave()
	return true
}

// setsResult says that slot is a plain move to r0 and an exit follows it.
func (c *Compiler) setsResult(slot int) bool {
	instruction := c.program[slot]
	isMove := isArithmetic(instruction) && instruction.Operation() == bpf.OperationMov &&
		instruction.Destination() == 0 && instruction.Offset == 0 &&
		!(instruction.FromRegister() && instruction.Source() == bpf.FramePointer)
	return isMove && slot+1 < len(c.program) && c.program[slot+1].Opcode == bpf.OpcodeExit
}

// result is a move to r0 of which only the exit wants to know.
func (c *Compiler) result(instruction bpf.Instruction) {
	is64 := instruction.Class() == bpf.ClassALU64
	if instruction.FromRegister() {
		c.move(is64, resultRegister, machineRegisters[instruction.Source()&15])
		return
	}
	value := uint64(int64(instruction.Immediate))
	if !is64 {
		value = uint64(uint32(value))
	}
	c.constant(resultRegister, value)
}
