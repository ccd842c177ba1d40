package bpf

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Decode reads a program in wire format and refuses what RFC 9669 reserves:
// unknown opcodes, registers above r10, reserved fields that are not zero.
// Nothing is said about jumps or values; analyze and verify do that.
func Decode(wire []byte, out []Instruction) (count int, place Place, code abi.Code) {
	if len(wire)%SlotBytes != 0 {
		return 0, Place{Instruction: int32(len(wire) / SlotBytes)}, abi.ErrTruncated
	}
	count = len(wire) / SlotBytes
	if count == 0 {
		return 0, Place{}, abi.ErrEmpty
	}
	if count > len(out) {
		return 0, Place{Instruction: int32(len(out))}, abi.ErrTooLong
	}
	for index := 0; index < count; index++ {
		out[index] = DecodeSlot(wire[index*SlotBytes:])
	}
	for index := 0; index < count; {
		width, code := CheckSlot(out[:count], index)
		if code != abi.OK {
			return 0, Place{Instruction: int32(index)}, code
		}
		index += width
	}
	return count, Place{}, abi.OK
}

// DecodeSlot reads the 8 bytes at the front of wire without judging them.
func DecodeSlot(wire []byte) Instruction {
	return Instruction{
		Opcode:    wire[0],
		Registers: wire[1],
		Offset:    int16(binary.LittleEndian.Uint16(wire[2:])),
		Immediate: int32(binary.LittleEndian.Uint32(wire[4:])),
	}
}

// EncodeSlot writes one slot to the first 8 bytes of wire.
func EncodeSlot(instruction Instruction, wire []byte) {
	_ = wire[SlotBytes-1]
	wire[0] = instruction.Opcode
	wire[1] = instruction.Registers
	binary.LittleEndian.PutUint16(wire[2:], uint16(instruction.Offset))
	binary.LittleEndian.PutUint32(wire[4:], uint32(instruction.Immediate))
}

// Encode writes instructions in wire format and returns the bytes written.
func Encode(instructions []Instruction, wire []byte) (bytes int, code abi.Code) {
	if len(wire) < len(instructions)*SlotBytes {
		return 0, abi.ErrNoSpace
	}
	for index, instruction := range instructions {
		EncodeSlot(instruction, wire[index*SlotBytes:])
	}
	return len(instructions) * SlotBytes, abi.OK
}

// CheckSlot says whether the instruction at index is one of RFC 9669 with all
// reserved fields zero, and how many slots it takes.
func CheckSlot(instructions []Instruction, index int) (width int, code abi.Code) {
	instruction := instructions[index]
	if instruction.Destination() >= RegisterCount {
		return 1, abi.ErrBadRegister
	}
	switch instruction.Class() {
	case ClassALU, ClassALU64:
		code = checkArithmetic(instruction)
	case ClassJMP, ClassJMP32:
		code = checkJump(instruction)
	case ClassLD:
		return checkLoadImmediate(instructions, index)
	default:
		code = checkMemory(instruction)
	}
	return 1, code
}

// checkOperands demands that the unused one of source register and immediate is zero.
func checkOperands(instruction Instruction) abi.Code {
	if instruction.FromRegister() {
		if instruction.Source() >= RegisterCount {
			return abi.ErrBadRegister
		}
		if instruction.Immediate != 0 {
			return abi.ErrBadOpcode
		}
	} else if instruction.Source() != 0 {
		return abi.ErrBadOpcode
	}
	return abi.OK
}

func checkArithmetic(instruction Instruction) abi.Code {
	is64 := instruction.Class() == ClassALU64
	switch instruction.Operation() {
	case OperationEnd:
		return checkByteSwap(instruction, is64)
	case OperationNeg:
		if instruction.Opcode&SourceX != 0 || instruction.Source() != 0 || instruction.Immediate != 0 || instruction.Offset != 0 {
			return abi.ErrBadOpcode
		}
		return abi.OK
	case OperationDiv, OperationMod:
		if instruction.Offset != 0 && instruction.Offset != 1 {
			return abi.ErrBadOpcode
		}
	case OperationMov:
		if !validMoveOffset(instruction, is64) {
			return abi.ErrBadOpcode
		}
	case 0xe0, 0xf0:
		return abi.ErrBadOpcode
	default:
		if instruction.Offset != 0 {
			return abi.ErrBadOpcode
		}
	}
	return checkOperands(instruction)
}

// validMoveOffset knows the widths of sign-extending moves: 8 and 16, and 32
// for a 64-bit destination; only from a register.
func validMoveOffset(instruction Instruction, is64 bool) bool {
	switch instruction.Offset {
	case 0:
		return true
	case 8, 16:
		return instruction.FromRegister()
	case 32:
		return instruction.FromRegister() && is64
	}
	return false
}

func checkByteSwap(instruction Instruction, is64 bool) abi.Code {
	if instruction.Source() != 0 || instruction.Offset != 0 {
		return abi.ErrBadOpcode
	}
	if is64 && instruction.FromRegister() {
		return abi.ErrBadOpcode // bswap has no direction
	}
	if instruction.Immediate != 16 && instruction.Immediate != 32 && instruction.Immediate != 64 {
		return abi.ErrBadOpcode
	}
	return abi.OK
}

func checkJump(instruction Instruction) abi.Code {
	switch instruction.Opcode {
	case OpcodeGoto:
		return zeroOr(instruction.Registers == 0 && instruction.Immediate == 0)
	case OpcodeGotoLong:
		return zeroOr(instruction.Registers == 0 && instruction.Offset == 0)
	case OpcodeCall:
		return zeroOr(instruction.Destination() == 0 && instruction.Offset == 0 && instruction.Source() <= CallBTF)
	case OpcodeCallReg:
		return zeroOr(instruction.Source() == 0 && instruction.Offset == 0 && instruction.Immediate == 0)
	case OpcodeExit:
		return zeroOr(instruction.Registers == 0 && instruction.Offset == 0 && instruction.Immediate == 0)
	}
	switch instruction.Operation() {
	case JumpAlways, JumpCall, JumpExit, 0xe0, 0xf0:
		return abi.ErrBadOpcode
	}
	return checkOperands(instruction)
}

func zeroOr(fine bool) abi.Code {
	if fine {
		return abi.OK
	}
	return abi.ErrBadOpcode
}

func checkLoadImmediate(instructions []Instruction, index int) (int, abi.Code) {
	instruction := instructions[index]
	mode, size := instruction.Opcode&ModeMask, instruction.Opcode&SizeMask
	switch {
	case instruction.IsWide():
		if instruction.Source() >= WideSourceCount || instruction.Offset != 0 || index+1 >= len(instructions) {
			return 1, abi.ErrBadOpcode
		}
		next := instructions[index+1]
		if next.Opcode != 0 || next.Registers != 0 || next.Offset != 0 {
			return 1, abi.ErrBadOpcode
		}
		return 2, abi.OK
	case mode == ModeABS && size != SizeDW:
		return 1, zeroOr(instruction.Registers == 0 && instruction.Offset == 0)
	case mode == ModeIND && size != SizeDW:
		if instruction.Source() >= RegisterCount {
			return 1, abi.ErrBadRegister
		}
		return 1, zeroOr(instruction.Destination() == 0 && instruction.Offset == 0)
	}
	return 1, abi.ErrBadOpcode
}

func checkMemory(instruction Instruction) abi.Code {
	class, mode, size := instruction.Class(), instruction.Opcode&ModeMask, instruction.Opcode&SizeMask
	if instruction.Source() >= RegisterCount {
		return abi.ErrBadRegister
	}
	switch {
	case mode == ModeMEM && class == ClassST:
		return zeroOr(instruction.Source() == 0)
	case mode == ModeMEM:
		return zeroOr(instruction.Immediate == 0)
	case mode == ModeMEMSX && class == ClassLDX && size != SizeDW:
		return zeroOr(instruction.Immediate == 0)
	case mode == ModeATOMIC && class == ClassSTX && (size == SizeW || size == SizeDW):
		return zeroOr(validAtomic(instruction.Immediate))
	}
	return abi.ErrBadOpcode
}

func validAtomic(operation int32) bool {
	switch operation {
	case AtomicAdd, AtomicOr, AtomicAnd, AtomicXor,
		AtomicAdd | AtomicFetch, AtomicOr | AtomicFetch, AtomicAnd | AtomicFetch, AtomicXor | AtomicFetch,
		AtomicXchg, AtomicCmpXhg:
		return true
	}
	return false
}
