// Package bpf is the language of candidates: the instruction set of RFC 9669,
// its wire format, its text (the pseudo-C of LLVM and of Linux's verifier log)
// and the digest a program is known by.
//
// It is a leaf: it knows the shape of instructions and nothing of what a
// program may do; that is the business of analyze and verify. Nothing here
// allocates: callers own every buffer.
package bpf

import "github.com/kingly-os/go-kernel/kernel/abi"

// Instruction is one 8-byte slot of the wire format. A wide load (lddw) takes
// two slots, the second with Opcode 0 and the upper half in Immediate.
//
//	byte  0       1          2 3      4 5 6 7
//	      opcode  src | dst  offset   immediate     little-endian
type Instruction struct {
	Opcode    uint8
	Registers uint8 // low nibble: destination; high nibble: source
	Offset    int16
	Immediate int32
}

// SlotBytes is the size of an Instruction on the wire.
const SlotBytes = 8

// Destination is the register in the low nibble.
func (i Instruction) Destination() uint8 { return i.Registers & 0x0f }

// Source is the register in the high nibble.
func (i Instruction) Source() uint8 { return i.Registers >> 4 }

// Class is the lowest three bits of the opcode.
func (i Instruction) Class() uint8 { return i.Opcode & 0x07 }

// Operation is the upper nibble of an arithmetic or jump opcode.
func (i Instruction) Operation() uint8 { return i.Opcode & 0xf0 }

// FromRegister says that the second operand is the source register (else the immediate).
func (i Instruction) FromRegister() bool { return i.Opcode&SourceX != 0 }

// IsWide says that this slot begins a two-slot load.
func (i Instruction) IsWide() bool { return i.Opcode == OpcodeWideLoad }

// Registers packs a destination and a source.
func Registers(destination, source uint8) uint8 { return destination | source<<4 }

// Candidate is a program somebody proposes for a hook. Anybody may make one:
// it is worth nothing until analyze and verify have looked at it.
type Candidate struct {
	Hook         abi.HookID
	Type         Type // zero: the hook's own
	Instructions []Instruction
}

// Type says by which rules a program is judged where that is not simply the
// hook's: the host also judges programs that are meant for Linux.
type Type uint8

const (
	TypeHook  Type = 0 // everything the hook offers
	TypeXDP   Type = 1 // only what Linux's struct xdp_md has
	TypeCount      = 2
)

// Place says where something is wrong: Line and Column count from 1 in text,
// Instruction counts slots from 0 in programs and is -1 in text.
type Place struct {
	Line        int32
	Column      int32
	Instruction int32
}

// Classes (RFC 9669 section 3.1).
const (
	ClassLD    = 0x00
	ClassLDX   = 0x01
	ClassST    = 0x02
	ClassSTX   = 0x03
	ClassALU   = 0x04
	ClassJMP   = 0x05
	ClassJMP32 = 0x06
	ClassALU64 = 0x07
)

// Second operand of arithmetic and jumps.
const (
	SourceK = 0x00
	SourceX = 0x08
)

// Arithmetic operations (section 4.1).
const (
	OperationAdd  = 0x00
	OperationSub  = 0x10
	OperationMul  = 0x20
	OperationDiv  = 0x30
	OperationOr   = 0x40
	OperationAnd  = 0x50
	OperationLsh  = 0x60
	OperationRsh  = 0x70
	OperationNeg  = 0x80
	OperationMod  = 0x90
	OperationXor  = 0xa0
	OperationMov  = 0xb0
	OperationArsh = 0xc0
	OperationEnd  = 0xd0
)

// Jump operations (section 4.3).
const (
	JumpAlways          = 0x00
	JumpEqual           = 0x10
	JumpGreater         = 0x20
	JumpGreaterEqual    = 0x30
	JumpSet             = 0x40
	JumpNotEqual        = 0x50
	JumpSignedGreater   = 0x60
	JumpSignedGreaterEq = 0x70
	JumpCall            = 0x80
	JumpExit            = 0x90
	JumpLess            = 0xa0
	JumpLessEqual       = 0xb0
	JumpSignedLess      = 0xc0
	JumpSignedLessEqual = 0xd0
)

// Size and mode of loads and stores (section 5).
const (
	SizeMask = 0x18
	SizeW    = 0x00
	SizeH    = 0x08
	SizeB    = 0x10
	SizeDW   = 0x18

	ModeMask     = 0xe0
	ModeIMM      = 0x00
	ModeABS      = 0x20
	ModeIND      = 0x40
	ModeMEM      = 0x60
	ModeMEMSX    = 0x80
	ModeATOMIC   = 0xc0
	AtomicFetch  = 0x01
	AtomicAdd    = 0x00
	AtomicOr     = 0x40
	AtomicAnd    = 0x50
	AtomicXor    = 0xa0
	AtomicXchg   = 0xe1
	AtomicCmpXhg = 0xf1
)

// Whole opcodes that code asks for by name.
const (
	OpcodeWideLoad  = ClassLD | ModeIMM | SizeDW          // 0x18
	OpcodeGoto      = ClassJMP | JumpAlways               // 0x05
	OpcodeGotoLong  = ClassJMP32 | JumpAlways             // 0x06
	OpcodeCall      = ClassJMP | JumpCall                 // 0x85
	OpcodeCallReg   = ClassJMP | JumpCall | SourceX       // 0x8d
	OpcodeExit      = ClassJMP | JumpExit                 // 0x95
	OpcodeMove      = ClassALU64 | OperationMov           // 0xb7
	OpcodeMoveReg   = ClassALU64 | OperationMov | SourceX // 0xbf
	WideSourceCount = 7                                   // pseudo sources of a wide load, 0..6
)

// What the source nibble of a call means.
const (
	CallHelper = 0 // Immediate is a helper number
	CallLocal  = 1 // Immediate is an offset in slots
	CallBTF    = 2 // Immediate is a BTF id
)

// Registers with a role, and how many there are.
const (
	RegisterCount = 11
	FramePointer  = 10
	StackBytes    = 512
)

// SizeBytes is the width of a load or store.
func SizeBytes(opcode uint8) int {
	switch opcode & SizeMask {
	case SizeB:
		return 1
	case SizeH:
		return 2
	case SizeW:
		return 4
	}
	return 8
}

// JumpTarget is the slot a jump at index goes to when taken.
func JumpTarget(instruction Instruction, index int) int {
	if instruction.Opcode == OpcodeGotoLong {
		return index + 1 + int(instruction.Immediate)
	}
	return index + 1 + int(instruction.Offset)
}

// IsJump says that the instruction may continue elsewhere than at the next
// slot or ends the program; calls return and are not jumps in this sense.
func (i Instruction) IsJump() bool {
	class := i.Class()
	return (class == ClassJMP || class == ClassJMP32) && i.Operation() != JumpCall
}

// IsConditional says that both the next slot and the target are possible.
func (i Instruction) IsConditional() bool {
	return i.IsJump() && i.Operation() != JumpAlways && i.Operation() != JumpExit
}
