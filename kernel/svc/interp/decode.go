package interp

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// Operations of the fast loop. Arithmetic and comparisons keep the order of
// RFC 9669's operation nibble, so an operation is a sum: base + nibble.
const (
	opAdd64K  = 0x00 // + nibble 0..c: the 64-bit operations with an immediate
	opAdd64X  = 0x10 // the same with a register
	opAdd32K  = 0x20
	opAdd32X  = 0x30
	opJump64K = 0x40 // + nibble 1..d: comparisons
	opJump64X = 0x50
	opJump32K = 0x60
	opJump32X = 0x70

	opGoto = 0x40 // nibble 0 of the first comparison block
	opExit = 0x49 // nibble 9: exit

	opSignedDivide64K = 0x80 + iota - 10
	opSignedDivide64X
	opSignedDivide32K
	opSignedDivide32X
	opSignedModulo64K
	opSignedModulo64X
	opSignedModulo32K
	opSignedModulo32X
	opMove8
	opMove16
	opMove32
	opMove32From8
	opMove32From16
	opBig16
	opBig32
	opSwap64
	opCut16
	opCut32
	opNothing
	opPacketStart
	opPacketEnd
	opContext
	opPacket8
	opPacket16
	opPacket32
	opPacket64
	opStack64
	opLoad
	opLoadSigned
	opStackStore64
	opStore
	opStoreK
	// Pairs found in nearly every filter, run in one turn of the loop.
	opMoveAdd64     // rA = rB; rA += K
	opPacket16Big16 // rA = *(u16 *)(rB + o); rA = be16 rA
	opMoveExit      // r0 = K; exit
	opPacket8Equal  // rA = *(u8 *)(rB + o); if rA == K goto
	opPacket8NotEqual
	opFault // what unused entries hold
)

// decode fills the entries. Jumps are translated from slots to entries.
func (l *Loaded) decode(p verify.Program) abi.Code {
	count := 0
	for slot := 0; slot < p.Len(); {
		e, width := decodeOne(p, slot)
		if e.operation == opFault {
			return abi.ErrUnsupported
		}
		instruction := p.At(slot)
		if instruction.IsJump() && instruction.Opcode != bpf.OpcodeExit {
			target := bpf.JumpTarget(instruction, slot)
			if target <= slot || target >= p.Len() {
				return abi.ErrBackEdge
			}
			e.skip = uint16(entriesBetween(p, slot+1, target))
			e.target = uint16(count+1) + e.skip
		}
		l.entries[count] = e
		count++
		slot += width
	}
	for rest := count; rest < entriesMax; rest++ {
		l.entries[rest] = entry{operation: opFault}
	}
	l.fuse(count)
	return abi.OK
}

// entriesBetween counts instructions in [from, to).
func entriesBetween(p verify.Program, from, to int) int {
	count := 0
	for slot := from; slot < to; slot++ {
		if p.At(slot).IsWide() {
			slot++
		}
		count++
	}
	return count
}

func decodeOne(p verify.Program, slot int) (entry, int) {
	instruction := p.At(slot)
	e := entry{
		operation: opFault, destination: instruction.Destination(), source: instruction.Source(),
		size: uint8(bpf.SizeBytes(instruction.Opcode)), immediate: uint64(int64(instruction.Immediate)),
	}
	nibble := instruction.Operation() >> 4
	form := uint8(0)
	if instruction.FromRegister() {
		form = 0x10
	}
	switch instruction.Class() {
	case bpf.ClassALU64:
		e.operation = decodeArithmetic(instruction, opAdd64K+form+nibble, 0)
	case bpf.ClassALU:
		e.operation = decodeArithmetic(instruction, opAdd32K+form+nibble, 2)
	case bpf.ClassJMP:
		if instruction.Opcode != bpf.OpcodeCall && instruction.Opcode != bpf.OpcodeCallReg {
			e.operation = opJump64K + form + nibble
		}
	case bpf.ClassJMP32:
		e.operation = opJump32K + form + nibble
		if instruction.Opcode == bpf.OpcodeGotoLong {
			e.operation = opGoto
		}
	case bpf.ClassLD:
		if instruction.IsWide() {
			e.operation = opAdd64K + bpf.OperationMov>>4
			e.immediate = uint64(uint32(instruction.Immediate)) | uint64(uint32(p.At(slot+1).Immediate))<<32
			return e, 2
		}
	case bpf.ClassLDX:
		e = decodeLoad(instruction, p.Access(slot), e)
	default:
		e = decodeStore(instruction, p.Access(slot), e)
	}
	return e, 1
}

// decodeArithmetic sorts out the operations that an offset or a width changes.
func decodeArithmetic(instruction bpf.Instruction, plain, form uint8) uint8 {
	if instruction.FromRegister() {
		form++
	}
	switch instruction.Operation() {
	case bpf.OperationDiv:
		if instruction.Offset == 1 {
			return opSignedDivide64K + form
		}
	case bpf.OperationMod:
		if instruction.Offset == 1 {
			return opSignedModulo64K + form
		}
	case bpf.OperationMov:
		return decodeMove(instruction, plain)
	case bpf.OperationEnd:
		return decodeSwap(instruction)
	}
	return plain
}

func decodeMove(instruction bpf.Instruction, plain uint8) uint8 {
	is32 := instruction.Class() == bpf.ClassALU
	switch {
	case instruction.Offset == 8 && is32:
		return opMove32From8
	case instruction.Offset == 16 && is32:
		return opMove32From16
	case instruction.Offset == 8:
		return opMove8
	case instruction.Offset == 16:
		return opMove16
	case instruction.Offset == 32:
		return opMove32
	}
	return plain
}

func decodeSwap(instruction bpf.Instruction) uint8 {
	swaps := instruction.Class() == bpf.ClassALU64 || instruction.FromRegister()
	switch {
	case instruction.Immediate == 16 && swaps:
		return opBig16
	case instruction.Immediate == 32 && swaps:
		return opBig32
	case swaps:
		return opSwap64
	case instruction.Immediate == 16:
		return opCut16
	case instruction.Immediate == 32:
		return opCut32
	}
	return opNothing
}

func decodeLoad(instruction bpf.Instruction, access verify.Access, e entry) entry {
	e.immediate = uint64(int64(instruction.Offset))
	e.operation = opLoad
	if instruction.Opcode&bpf.ModeMask == bpf.ModeMEMSX {
		e.operation = opLoadSigned
		return e
	}
	switch access {
	case verify.AccessPacketStart:
		e.operation = opPacketStart
	case verify.AccessPacketEnd:
		e.operation = opPacketEnd
	case verify.AccessContext:
		e.operation = opContext
		e.immediate -= contextBase
	case verify.AccessPacket:
		e.immediate -= packetBase
		switch e.size {
		case 1:
			e.operation = opPacket8
		case 2:
			e.operation = opPacket16
		case 4:
			e.operation = opPacket32
		default:
			e.operation = opPacket64
		}
	case verify.AccessStack:
		if e.size == 8 {
			e.operation = opStack64
			e.immediate -= stackBase
		}
	}
	return e
}

func decodeStore(instruction bpf.Instruction, access verify.Access, e entry) entry {
	if instruction.Opcode&bpf.ModeMask != bpf.ModeMEM {
		e.operation = opFault
		return e
	}
	if instruction.Class() == bpf.ClassST {
		e.operation = opStoreK
		e.target = uint16(instruction.Offset)
		return e
	}
	e.operation = opStore
	e.immediate = uint64(int64(instruction.Offset))
	if access == verify.AccessStack && e.size == 8 {
		e.operation = opStackStore64
		e.immediate -= stackBase
	}
	return e
}

// fuse replaces the first of a common pair by an operation that does both. The
// second entry stays, for jumps that land on it. Steps still count two.
func (l *Loaded) fuse(count int) {
	for index := 0; index+1 < count; index++ {
		first, second := &l.entries[index], &l.entries[index+1]
		same := first.destination == second.destination
		switch {
		case first.operation == opAdd64X+bpf.OperationMov>>4 && second.operation == opAdd64K && same:
			first.operation = opMoveAdd64
			first.immediate = second.immediate
		case first.operation == opPacket16 && second.operation == opBig16 && same:
			first.operation = opPacket16Big16
		case first.operation == opAdd64K+bpf.OperationMov>>4 && second.operation == opExit && first.destination == 0:
			first.operation = opMoveExit
		case first.operation == opAdd32K+bpf.OperationMov>>4 && second.operation == opExit && first.destination == 0:
			first.operation = opMoveExit
			first.immediate = uint64(uint32(first.immediate))
		case first.operation == opPacket8 && same && comparesByte(second):
			first.operation = opPacket8Equal
			if second.operation&0x0f == bpf.JumpNotEqual>>4 {
				first.operation = opPacket8NotEqual
			}
			first.size = uint8(second.immediate)
			first.target, first.skip = second.target, second.skip
		}
	}
}

// comparesByte says that the entry is == or != with a number a byte can be.
func comparesByte(e *entry) bool {
	switch e.operation {
	case opJump64K + bpf.JumpEqual>>4, opJump64K + bpf.JumpNotEqual>>4, opJump32K + bpf.JumpEqual>>4, opJump32K + bpf.JumpNotEqual>>4:
		return e.immediate <= 255
	}
	return false
}
