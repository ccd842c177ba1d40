package arm64

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Compiled code is a leaf function of the procedure call standard (AAPCS64):
//
//	r0 = code(context, packet, bytes)      x0, x1, x2 -> x0
//
// It calls nothing, so its eleven registers live in those a callee may spoil
// and nothing is saved: no prologue, and a frame only as large as the stack
// the program really uses. x16 to x30 are not written, x18 least of all; a
// fault can therefore be unwound with nothing but x29 and x30 (arch/arm64/
// code.S). r10 is no register: it is the stack pointer plus a constant.
//
//	r0 x7   r1 x0   r2 x3   r3 x4   r4 x5   r5 x6
//	r6 x8   r7 x9   r8 x10  r9 x11  scratch x12 x13
//
// r1 is in x0 where the context arrives; r0 is not, and `r0 = K; exit` writes
// x0 straight away. The packet stays in x1 and its length in x2: reading the
// context's first two fields is a move and an addition, and the context in
// memory needs no 64-bit pointers.
var machineRegisters = [16]register{7, 0, 3, 4, 5, 6, 8, 9, 10, 11}

const (
	resultRegister = register(0)
	packetRegister = register(1)
	lengthRegister = register(2)
	scratch        = register(12)
	scratch2       = register(13)
)

// Field says what a load from the context yields.
type Field uint8

const (
	FieldPlain       Field = iota // what lies there; every access that is not below
	FieldPacketStart              // a pointer to the first packet byte
	FieldPacketEnd                // a pointer behind the last
)

// Entry is how a program's first registers are given.
type Entry uint8

const (
	EntryPacket Entry = iota // (context, packet, bytes): r1 is the context
	EntryMemory              // (memory, bytes): r1 and r2, for programs outside any hook
)

// Compiler is the memory of a compilation; one thread uses it at a time.
type Compiler struct {
	program []bpf.Instruction
	fields  []Field
	entry   Entry
	out     []byte
	words   int32
	frame   int32 // bytes of stack, a multiple of 16
	code    abi.Code

	// What the instruction just emitted leaves behind, void at jump targets.
	compared      uint32 // the comparison whose flags still stand, 0 = none
	narrow        uint8  // a register just loaded,
	narrowBits    uint32 // known to hold so many bits; 0 = none
	target        [abi.ProgramInstructionsMax]bool
	offsets       [abi.ProgramInstructionsMax]int32 // in words, from the first pass
	instructionAt int
}

// Compile writes the machine code of a program to out and returns its bytes.
// at is the slot that is to blame when code is not OK.
//
// Two passes of the same lowering: the first finds where each instruction
// begins, the second knows it. Nothing it emits depends on distances, so both
// passes agree.
func (c *Compiler) Compile(program []bpf.Instruction, fields []Field, entry Entry, out []byte) (bytes, at int, code abi.Code) {
	if len(program) > len(c.target) || len(fields) < len(program) {
		return 0, 0, abi.ErrTooLong
	}
	c.program, c.fields, c.entry, c.out, c.code = program, fields, entry, out, abi.OK
	c.markTargets()
	c.frame = c.frameBytes()
	for pass := 0; pass < 2 && c.code == abi.OK; pass++ {
		c.words = 0
		c.lowerAll()
	}
	if c.code != abi.OK {
		return 0, c.instructionAt, c.code
	}
	return int(c.words) * 4, 0, abi.OK
}

func (c *Compiler) lowerAll() {
	c.compared, c.narrowBits = 0, 0
	if c.frame > 0 {
		c.emit(arithmeticImmediate(subtractImmediate, true, stackPointer, stackPointer, uint64(c.frame)))
	}
	if c.entry == EntryMemory {
		c.move(true, machineRegisters[2], packetRegister)
	}
	for slot := 0; slot < len(c.program) && c.code == abi.OK; {
		c.instructionAt = slot
		c.offsets[slot] = c.words
		if c.target[slot] {
			c.compared, c.narrowBits = 0, 0
		}
		slot = c.lower(slot)
	}
}

func (c *Compiler) refuse(code abi.Code) {
	if c.code == abi.OK {
		c.code = code
	}
}

func (c *Compiler) emit(word uint32) {
	at := int(c.words) * 4
	if at+4 > len(c.out) {
		c.refuse(abi.ErrTooLarge)
		return
	}
	binary.LittleEndian.PutUint32(c.out[at:], word)
	c.words++
}

// follows says that slot exists and is reached from the one before it only, so
// that both may become one.
func (c *Compiler) follows(slot int) bool { return slot < len(c.program) && !c.target[slot] }

func (c *Compiler) markTargets() {
	clear(c.target[:])
	for slot := 0; slot < len(c.program); slot++ {
		instruction := c.program[slot]
		if instruction.IsWide() {
			slot++
			continue
		}
		if !instruction.IsJump() || instruction.Opcode == bpf.OpcodeExit {
			continue
		}
		target := bpf.JumpTarget(instruction, slot)
		if target < 0 || target >= len(c.program) {
			c.instructionAt = slot
			c.refuse(abi.ErrJumpOutside)
			return
		}
		c.target[target] = true
	}
}

// frameBytes is the deepest direct access, or all of it when the program takes
// the frame's address and may reach any of it.
func (c *Compiler) frameBytes() int32 {
	deepest := int32(0)
	for slot := 0; slot < len(c.program); slot++ {
		instruction := c.program[slot]
		class, base := instruction.Class(), instruction.Destination()
		if instruction.IsWide() {
			slot++
			continue
		}
		if class == bpf.ClassLDX {
			base = instruction.Source()
		}
		isAccess := class == bpf.ClassLDX || class == bpf.ClassST || class == bpf.ClassSTX
		takesAddress := class == bpf.ClassSTX && instruction.Source() == bpf.FramePointer
		if !isAccess {
			takesAddress = base == bpf.FramePointer || instruction.FromRegister() && instruction.Source() == bpf.FramePointer
		}
		if takesAddress {
			return bpf.StackBytes
		}
		if isAccess && base == bpf.FramePointer {
			deepest = max(deepest, -int32(instruction.Offset))
		}
	}
	return (deepest + 15) &^ 15
}

// source is the machine register of an eBPF register; r10 is computed.
func (c *Compiler) source(number uint8, into register) register {
	if number == bpf.FramePointer {
		c.emit(arithmeticImmediate(addImmediate, true, into, stackPointer, uint64(c.frame)))
		return into
	}
	return machineRegisters[number&15]
}

// distance is how far a branch emitted now has to go, if it may go that far:
// a signed field of so many bits, in words (C6.2.26 and on).
func (c *Compiler) distance(slot int, fieldBits uint) int32 {
	distance := c.offsets[slot] - c.words
	if limit := int32(1) << (fieldBits - 1); distance < -limit || distance >= limit {
		c.refuse(abi.ErrTooLarge)
		return 0
	}
	return distance
}
