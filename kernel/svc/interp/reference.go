//go:build !tinygo

package interp

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Reference is the slow twin of the fast loop: it reads the wire form of the
// instructions, one meaning per clause of RFC 9669, and watches what the fast
// loop takes for granted. It knows which registers and stack bytes were ever
// written and stops at the first read of one that was not. Local calls, loops
// and atomics run here too; a step bound ends what does not end by itself.
type Reference struct {
	Instructions []bpf.Instruction
	StepsMax     uint32
	// Visit, if set, is called before each instruction.
	Visit func(slot int, m *Reference)
	// Lax allows reads of memory and registers never written (they are zero):
	// programs outside any hook may do that.
	Lax bool

	Registers [bpf.RegisterCount]uint64
	Written   uint16 // bit per register
	Context   *abi.NetRXContext
	Packet    []byte
	Memory    []byte
	Steps     uint32

	frames [callDepthMax]frame
	depth  int
	slot   int
}

const callDepthMax = 8

// frameStride lies between the frames of nested calls: they do not touch, so
// that running off one is seen.
const frameStride = 2 * bpf.StackBytes

type frame struct {
	stack    [bpf.StackBytes]byte
	written  [bpf.StackBytes]bool
	saved    [4]uint64 // r6 to r9 of the caller
	returnTo int
}

// Slot is the instruction a run stopped at.
func (m *Reference) Slot() int { return m.slot }

// StackByte returns a byte of the current frame (0 is the lowest) and whether
// it was written.
func (m *Reference) StackByte(index int) (value byte, written bool) {
	f := &m.frames[m.depth]
	return f.stack[index], f.written[index]
}

// StackTop is what r10 holds in the outermost frame, and the bases are what
// pointers into other regions count from.
const (
	StackTop    = stackBase + bpf.StackBytes
	PacketBase  = packetBase
	ContextBase = contextBase
	MemoryBase  = memoryBase
)

// RunPacket runs a program of a hook: r1 is the context.
func (m *Reference) RunPacket(context *abi.NetRXContext, packet []byte) (uint64, abi.Code) {
	m.start()
	m.Context, m.Packet, m.Memory = context, packet, nil
	m.Registers[1] = contextBase
	return m.run()
}

// RunMemory runs a program outside any hook: r1 points to memory (0 if there
// is none), r2 is its length.
func (m *Reference) RunMemory(memory []byte) (uint64, abi.Code) {
	m.start()
	m.Context, m.Packet, m.Memory = nil, nil, memory
	if len(memory) > 0 {
		m.Registers[1] = memoryBase
	}
	m.Registers[2] = uint64(len(memory))
	m.Written |= 1 << 2
	return m.run()
}

func (m *Reference) start() {
	m.Registers = [bpf.RegisterCount]uint64{}
	m.Registers[bpf.FramePointer] = StackTop
	m.Written = 1<<1 | 1<<bpf.FramePointer
	m.Steps, m.depth, m.slot = 0, 0, 0
	m.frames[0] = frame{}
}

func (m *Reference) run() (uint64, abi.Code) {
	for {
		if m.slot < 0 || m.slot >= len(m.Instructions) {
			return 0, abi.ErrFallsThrough
		}
		if m.Steps >= m.StepsMax {
			return 0, abi.ErrStepBound
		}
		if m.Visit != nil {
			m.Visit(m.slot, m)
		}
		m.Steps++
		width, code := bpf.CheckSlot(m.Instructions, m.slot)
		if code != abi.OK {
			return 0, code
		}
		instruction := m.Instructions[m.slot]
		if writesFramePointer(instruction) {
			return 0, abi.ErrBadRegister
		}
		if instruction.Opcode == bpf.OpcodeExit && m.depth == 0 {
			return m.Registers[0], m.needs(0)
		}
		if code := m.step(instruction, width); code != abi.OK {
			return 0, code
		}
	}
}

// writesFramePointer: r10 is read-only (section 2).
func writesFramePointer(instruction bpf.Instruction) bool {
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64, bpf.ClassLD, bpf.ClassLDX:
		return instruction.Destination() == bpf.FramePointer
	case bpf.ClassSTX:
		fetches := instruction.Opcode&bpf.ModeMask == bpf.ModeATOMIC && instruction.Immediate&bpf.AtomicFetch != 0
		return fetches && instruction.Immediate != bpf.AtomicCmpXhg && instruction.Source() == bpf.FramePointer
	}
	return false
}

// needs says whether a register may be read.
func (m *Reference) needs(register uint8) abi.Code {
	if !m.Lax && m.Written>>register&1 == 0 {
		return abi.ErrUninitialised
	}
	return abi.OK
}

func (m *Reference) set(register uint8, value uint64) {
	m.Registers[register] = value
	m.Written |= 1 << register
}

// step runs one instruction and moves on.
func (m *Reference) step(instruction bpf.Instruction, width int) abi.Code {
	destination := instruction.Destination()
	next := m.slot + width
	code := abi.OK
	switch instruction.Class() {
	case bpf.ClassALU, bpf.ClassALU64:
		code = m.arithmetic(instruction)
	case bpf.ClassJMP, bpf.ClassJMP32:
		next, code = m.jump(instruction)
	case bpf.ClassLD:
		if !instruction.IsWide() || instruction.Source() != 0 {
			return abi.ErrUnsupported
		}
		m.set(destination, uint64(uint32(instruction.Immediate))|uint64(uint32(m.Instructions[m.slot+1].Immediate))<<32)
	case bpf.ClassLDX:
		code = m.loadRegister(instruction)
	case bpf.ClassST:
		if code = m.needs(destination); code == abi.OK {
			code = m.access(m.Registers[destination]+uint64(int64(instruction.Offset)), bpf.SizeBytes(instruction.Opcode), true, uint64(int64(instruction.Immediate)), nil)
		}
	case bpf.ClassSTX:
		if code = m.needs(destination); code == abi.OK {
			code = m.needs(instruction.Source())
		}
		if code != abi.OK {
			return code
		}
		if instruction.Opcode&bpf.ModeMask == bpf.ModeATOMIC {
			code = m.atomic(instruction)
		} else {
			code = m.access(m.Registers[destination]+uint64(int64(instruction.Offset)), bpf.SizeBytes(instruction.Opcode), true, m.Registers[instruction.Source()], nil)
		}
	}
	if code == abi.OK {
		m.slot = next
	}
	return code
}

func (m *Reference) loadRegister(instruction bpf.Instruction) abi.Code {
	if code := m.needs(instruction.Source()); code != abi.OK {
		return code
	}
	size := bpf.SizeBytes(instruction.Opcode)
	var value uint64
	if code := m.access(m.Registers[instruction.Source()]+uint64(int64(instruction.Offset)), size, false, 0, &value); code != abi.OK {
		return code
	}
	if instruction.Opcode&bpf.ModeMask == bpf.ModeMEMSX {
		shift := 64 - size*8
		value = uint64(int64(value<<shift) >> shift)
	}
	m.set(instruction.Destination(), value)
	return abi.OK
}

// arithmetic follows RFC 9669 section 4.1, operation by operation.
func (m *Reference) arithmetic(instruction bpf.Instruction) abi.Code {
	destination := instruction.Destination()
	is32 := instruction.Class() == bpf.ClassALU
	operation := instruction.Operation()
	if operation != bpf.OperationMov {
		if code := m.needs(destination); code != abi.OK {
			return code
		}
	}
	if operation == bpf.OperationEnd {
		m.set(destination, swapped(m.Registers[destination], !is32 || instruction.FromRegister(), instruction.Immediate))
		return abi.OK
	}
	second := uint64(int64(instruction.Immediate))
	if instruction.FromRegister() {
		if code := m.needs(instruction.Source()); code != abi.OK {
			return code
		}
		second = m.Registers[instruction.Source()]
	}
	if operation == bpf.OperationMov && instruction.Offset != 0 {
		shift := 64 - uint(instruction.Offset)
		second = uint64(int64(second<<shift) >> shift)
	}
	first := m.Registers[destination]
	signed := instruction.Offset == 1 && operation != bpf.OperationMov
	if is32 {
		if signed || operation == bpf.OperationArsh {
			first, second = uint64(int64(int32(first))), uint64(int64(int32(second)))
		} else {
			first, second = uint64(uint32(first)), uint64(uint32(second))
		}
		m.set(destination, uint64(uint32(compute(operation, signed, first, second, 31))))
		return abi.OK
	}
	m.set(destination, compute(operation, signed, first, second, 63))
	return abi.OK
}

func compute(operation uint8, signed bool, first, second uint64, countMask uint64) uint64 {
	switch operation {
	case bpf.OperationAdd:
		return first + second
	case bpf.OperationSub:
		return first - second
	case bpf.OperationMul:
		return first * second
	case bpf.OperationDiv:
		return quotient(signed, first, second)
	case bpf.OperationMod:
		return first - quotient(signed, first, second)*second
	case bpf.OperationOr:
		return first | second
	case bpf.OperationAnd:
		return first & second
	case bpf.OperationXor:
		return first ^ second
	case bpf.OperationLsh:
		return first << (second & countMask)
	case bpf.OperationRsh:
		return first >> (second & countMask)
	case bpf.OperationArsh:
		return uint64(int64(first) >> (second & countMask))
	case bpf.OperationNeg:
		return -first
	}
	return second // move
}

// quotient: a division by zero gives zero, so that x - 0*0 = x is the modulo.
func quotient(signed bool, first, second uint64) uint64 {
	switch {
	case second == 0:
		return 0
	case signed && int64(second) == -1:
		return -first
	case signed:
		return uint64(int64(first) / int64(second))
	}
	return first / second
}

func swapped(value uint64, swaps bool, width int32) uint64 {
	if swaps {
		value = bits.ReverseBytes64(value) >> (64 - width)
	}
	if width == 64 {
		return value
	}
	return value & (1<<width - 1)
}

// jump returns where to go on.
func (m *Reference) jump(instruction bpf.Instruction) (next int, code abi.Code) {
	switch instruction.Opcode {
	case bpf.OpcodeGoto, bpf.OpcodeGotoLong:
		return bpf.JumpTarget(instruction, m.slot), abi.OK
	case bpf.OpcodeExit:
		return m.leave()
	case bpf.OpcodeCall:
		if instruction.Source() != bpf.CallLocal {
			return 0, abi.ErrUnknownHelper
		}
		return m.enter(m.slot + 1 + int(instruction.Immediate))
	case bpf.OpcodeCallReg:
		return 0, abi.ErrUnsupported
	}
	if code := m.needs(instruction.Destination()); code != abi.OK {
		return 0, code
	}
	first, second := m.Registers[instruction.Destination()], uint64(int64(instruction.Immediate))
	if instruction.FromRegister() {
		if code := m.needs(instruction.Source()); code != abi.OK {
			return 0, code
		}
		second = m.Registers[instruction.Source()]
	}
	signedFirst, signedSecond := int64(first), int64(second)
	if instruction.Class() == bpf.ClassJMP32 {
		first, second = uint64(uint32(first)), uint64(uint32(second))
		signedFirst, signedSecond = int64(int32(first)), int64(int32(second))
	}
	if compare(instruction.Operation(), first, second, signedFirst, signedSecond) {
		return bpf.JumpTarget(instruction, m.slot), abi.OK
	}
	return m.slot + 1, abi.OK
}

func compare(operation uint8, first, second uint64, signedFirst, signedSecond int64) bool {
	switch operation {
	case bpf.JumpEqual:
		return first == second
	case bpf.JumpNotEqual:
		return first != second
	case bpf.JumpSet:
		return first&second != 0
	case bpf.JumpGreater:
		return first > second
	case bpf.JumpGreaterEqual:
		return first >= second
	case bpf.JumpLess:
		return first < second
	case bpf.JumpLessEqual:
		return first <= second
	case bpf.JumpSignedGreater:
		return signedFirst > signedSecond
	case bpf.JumpSignedGreaterEq:
		return signedFirst >= signedSecond
	case bpf.JumpSignedLess:
		return signedFirst < signedSecond
	}
	return signedFirst <= signedSecond // JumpSignedLessEqual
}

// enter starts a local function with a frame of its own.
func (m *Reference) enter(target int) (next int, code abi.Code) {
	if m.depth+1 >= callDepthMax {
		return 0, abi.ErrStackBound
	}
	m.depth++
	f := &m.frames[m.depth]
	*f = frame{returnTo: m.slot + 1}
	copy(f.saved[:], m.Registers[6:10])
	m.Registers[bpf.FramePointer] = StackTop + uint64(m.depth)*frameStride
	return target, abi.OK
}

// leave returns from a local function; r1 to r5 are lost.
func (m *Reference) leave() (next int, code abi.Code) {
	f := &m.frames[m.depth]
	copy(m.Registers[6:10], f.saved[:])
	m.Written &^= 0x3e
	m.depth--
	m.Registers[bpf.FramePointer] = StackTop + uint64(m.depth)*frameStride
	return f.returnTo, abi.OK
}
