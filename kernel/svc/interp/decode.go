package interp

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// Operations of the fast loop: what filters are made of. The names ending in
// Equal and NotEqual that begin with hotPacket are pairs or triples found in
// nearly every filter, run in one turn: a load, a swap, a comparison. So are
// hotMoveAdd64 (rA = rB; rA += K), hotMoveAddGreater64 (and if rA > rC goto)
// and hotMoveExit (r0 = K; exit). hotJumpEqualPair is two comparisons of one
// register, as in a list of ports; hotPrologue is how a filter begins: the
// packet's start, its end, and the first check of its length.
const (
	hotAdd64K = iota
	hotAdd64X
	hotSub64X
	hotAnd64K
	hotAnd64X
	hotOr64X
	hotLsh64K
	hotRsh64K
	hotMove64K
	hotMove64X
	hotAdd32K
	hotAdd32X
	hotAnd32K
	hotLsh32K
	hotRsh32K
	hotMove32K
	hotMove32X
	hotJumpEqual64K
	hotJumpNotEqual64K
	hotJumpGreater64K
	hotJumpGreaterEqual64K
	hotJumpLess64K
	hotJumpLessEqual64K
	hotJumpSet64K
	hotJumpSignedGreater64K
	hotJumpSignedLess64K
	hotJumpEqual64X
	hotJumpNotEqual64X
	hotJumpGreater64X
	hotJumpGreaterEqual64X
	hotJumpLess64X
	hotJumpLessEqual64X
	hotJumpEqual32K
	hotJumpNotEqual32K
	hotJumpGreater32K
	hotJumpLess32K
	hotJumpSet32K
	hotGoto
	hotExit
	hotMoveExit
	hotMoveAdd64
	hotMoveAddGreater64
	hotJumpEqualPair
	hotPrologue
	hotPacketStart
	hotPacketEnd
	hotPacket8
	hotPacket16
	hotPacket32
	hotPacket64
	hotPacket16Big
	hotPacket8Equal
	hotPacket8NotEqual
	hotPacket16Equal
	hotPacket16NotEqual
	hotPacket32Equal
	hotPacket32NotEqual
	hotPacket16BigEqual
	hotPacket16BigNotEqual
	hotBig16
	hotStack64
	hotStackStore64
	hotCount
)

// Every other operation. Arithmetic and comparisons keep the order of RFC
// 9669's operation nibble: opPlain + 16 * form + nibble, the forms being 64 and
// 32 bits with an immediate or a register, first arithmetic, then jumps.
const (
	opPlain   = 0x40
	opAdd64K  = opPlain + 0x00
	opAdd64X  = opPlain + 0x10
	opAdd32K  = opPlain + 0x20
	opAdd32X  = opPlain + 0x30
	opJump64K = opPlain + 0x40
	opJump64X = opPlain + 0x50
	opJump32K = opPlain + 0x60
	opJump32X = opPlain + 0x70
)

const (
	opSpecial         = 0xc0
	opSignedDivide64K = opSpecial + iota - 1
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
	opBig32
	opSwap64
	opCut16
	opCut32
	opNothing
	opLoad // this and all behind it access memory
	opLoadSigned
	opContext
	opStore
	opStoreK
	opFault // what unused entries hold
)

const _ = uint(opPlain - hotCount) // the hot ones must stay below

// hotForm translates a plain operation to the fast loop's.
type hotForm struct{ plain, hot uint8 }

var hotForms = [...]hotForm{
	{opAdd64K, hotAdd64K},
	{opAdd64X, hotAdd64X},
	{opAdd64X + bpf.OperationSub>>4, hotSub64X},
	{opAdd64K + bpf.OperationAnd>>4, hotAnd64K},
	{opAdd64X + bpf.OperationAnd>>4, hotAnd64X},
	{opAdd64X + bpf.OperationOr>>4, hotOr64X},
	{opAdd64K + bpf.OperationLsh>>4, hotLsh64K},
	{opAdd64K + bpf.OperationRsh>>4, hotRsh64K},
	{opAdd64K + bpf.OperationMov>>4, hotMove64K},
	{opAdd64X + bpf.OperationMov>>4, hotMove64X},
	{opAdd32K, hotAdd32K},
	{opAdd32X, hotAdd32X},
	{opAdd32K + bpf.OperationAnd>>4, hotAnd32K},
	{opAdd32K + bpf.OperationLsh>>4, hotLsh32K},
	{opAdd32K + bpf.OperationRsh>>4, hotRsh32K},
	{opAdd32K + bpf.OperationMov>>4, hotMove32K},
	{opAdd32X + bpf.OperationMov>>4, hotMove32X},
	{opJump64K + bpf.JumpEqual>>4, hotJumpEqual64K},
	{opJump64K + bpf.JumpNotEqual>>4, hotJumpNotEqual64K},
	{opJump64K + bpf.JumpGreater>>4, hotJumpGreater64K},
	{opJump64K + bpf.JumpGreaterEqual>>4, hotJumpGreaterEqual64K},
	{opJump64K + bpf.JumpLess>>4, hotJumpLess64K},
	{opJump64K + bpf.JumpLessEqual>>4, hotJumpLessEqual64K},
	{opJump64K + bpf.JumpSet>>4, hotJumpSet64K},
	{opJump64K + bpf.JumpSignedGreater>>4, hotJumpSignedGreater64K},
	{opJump64K + bpf.JumpSignedLess>>4, hotJumpSignedLess64K},
	{opJump64X + bpf.JumpEqual>>4, hotJumpEqual64X},
	{opJump64X + bpf.JumpNotEqual>>4, hotJumpNotEqual64X},
	{opJump64X + bpf.JumpGreater>>4, hotJumpGreater64X},
	{opJump64X + bpf.JumpGreaterEqual>>4, hotJumpGreaterEqual64X},
	{opJump64X + bpf.JumpLess>>4, hotJumpLess64X},
	{opJump64X + bpf.JumpLessEqual>>4, hotJumpLessEqual64X},
	{opJump32K + bpf.JumpEqual>>4, hotJumpEqual32K},
	{opJump32K + bpf.JumpNotEqual>>4, hotJumpNotEqual32K},
	{opJump32K + bpf.JumpGreater>>4, hotJumpGreater32K},
	{opJump32K + bpf.JumpLess>>4, hotJumpLess32K},
	{opJump32K + bpf.JumpSet>>4, hotJumpSet32K},
	{opJump64K + bpf.JumpAlways>>4, hotGoto},
	{opJump64K + bpf.JumpExit>>4, hotExit},
}

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
		for _, form := range hotForms {
			if e.operation == form.plain {
				e.operation = form.hot
				break
			}
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
			e.operation = opJump64K
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
		return hotBig16
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
		e.operation = hotPacketStart
	case verify.AccessPacketEnd:
		e.operation = hotPacketEnd
	case verify.AccessContext:
		e.operation = opContext
		e.immediate -= contextBase
	case verify.AccessPacket:
		e.immediate -= packetBase
		switch e.size {
		case 1:
			e.operation = hotPacket8
		case 2:
			e.operation = hotPacket16
		case 4:
			e.operation = hotPacket32
		default:
			e.operation = hotPacket64
		}
	case verify.AccessStack:
		if e.size == 8 {
			e.operation = hotStack64
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
		e.operation = hotStackStore64
		e.immediate -= stackBase
	}
	return e
}

// fuse replaces the first of a common pair or triple by an operation that does
// all of it. The other entries stay, for jumps that land on them, and steps
// still count each. Longer forms come from shorter ones, so it runs backwards.
func (l *Loaded) fuse(count int) {
	for index := count - 2; index >= 0; index-- {
		first, second := &l.entries[index], &l.entries[index+1]
		same := first.destination == second.destination
		switch {
		case first.operation == hotMove64X && second.operation == hotAdd64K && same:
			first.operation, first.immediate = hotMoveAdd64, second.immediate
			if index+2 < count {
				fuseCheck(first, &l.entries[index+2])
			}
		case first.operation == hotMove64K && second.operation == hotExit && first.destination == 0:
			first.operation = hotMoveExit
		case first.operation == hotMove32K && second.operation == hotExit && first.destination == 0:
			first.operation, first.immediate = hotMoveExit, uint64(uint32(first.immediate))
		case first.operation == hotPacketStart && second.operation == hotPacketEnd && index+4 < count:
			fusePrologue(first, first, second, &l.entries[index+2])
		case first.operation == hotPacketEnd && second.operation == hotPacketStart && index+4 < count:
			fusePrologue(first, second, first, &l.entries[index+2])
		case first.operation == hotJumpEqual64K && comparesForward(second) && same && first.immediate <= 0x7fffffff:
			first.operation = hotJumpEqualPair
			first.immediate |= second.immediate << 32
		case first.operation == hotPacket16 && second.operation == hotBig16 && same:
			first.operation = hotPacket16Big
			if index+2 < count && comparesSmall(&l.entries[index+2], first.destination) {
				fuseComparison(first, &l.entries[index+2], hotPacket16BigEqual, hotPacket16BigNotEqual)
			}
		case !comparesSmall(second, first.destination):
		case first.operation == hotPacket8:
			fuseComparison(first, second, hotPacket8Equal, hotPacket8NotEqual)
		case first.operation == hotPacket16:
			fuseComparison(first, second, hotPacket16Equal, hotPacket16NotEqual)
		case first.operation == hotPacket32:
			fuseComparison(first, second, hotPacket32Equal, hotPacket32NotEqual)
		}
	}
}

// comparesForward says that the entry begins with == and a small number: then
// its upper immediate may hold a partner's number already.
func comparesForward(e *entry) bool {
	return e.operation == hotJumpEqualPair || e.operation == hotJumpEqual64K && e.immediate <= 0x7fffffff
}

// fusePrologue joins the loads of the packet's start and end, in either order,
// with the check that follows them.
func fusePrologue(first, start, end, check *entry) {
	startRegister, endRegister := start.destination, end.destination
	usesBoth := check.operation == hotMoveAddGreater64 && check.source == startRegister && check.size == endRegister
	distinct := startRegister != endRegister && check.destination != startRegister && check.destination != endRegister
	if !usesBoth || !distinct || check.immediate > abi.PacketBytesMax {
		return
	}
	first.operation = hotPrologue
	first.destination, first.source, first.size = startRegister, endRegister, check.destination
	first.immediate, first.target, first.skip = check.immediate, check.target, check.skip
}

// fuseCheck adds the comparison with the packet's end to `rA = rB; rA += K`.
func fuseCheck(first, jump *entry) {
	if jump.operation == hotJumpGreater64X && jump.destination == first.destination && jump.source != first.destination {
		first.operation, first.size = hotMoveAddGreater64, jump.source
		first.target, first.skip = jump.target, jump.skip
	}
}

// comparesSmall says that the entry is == or != of this register with a number
// that 32 bits hold without a sign: what a loaded field is compared with.
func comparesSmall(e *entry, register uint8) bool {
	switch e.operation {
	case hotJumpEqual64K, hotJumpNotEqual64K:
		return e.destination == register && e.immediate <= 0x7fffffff
	case hotJumpEqual32K, hotJumpNotEqual32K:
		return e.destination == register
	}
	return false
}

// fuseComparison packs a load's offset and the number it is compared with:
// the offset into the lowest 16 bits, the number into the upper half.
func fuseComparison(first, jump *entry, equal, notEqual uint8) {
	offset := first.immediate + packetBase
	first.operation = equal
	if jump.operation == hotJumpNotEqual64K || jump.operation == hotJumpNotEqual32K {
		first.operation = notEqual
	}
	first.immediate = offset&0xffff | jump.immediate<<32
	first.target, first.skip = jump.target, jump.skip
}
