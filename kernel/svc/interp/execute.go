package interp

import (
	"encoding/binary"
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// execute is the fast loop: a dispatch table, and as long as the instruction
// set. Masked indices cost one instruction less than checked ones, and steps
// are not counted but derived: jumps go forward, so entries run = position at
// the exit minus entries skipped.
func (l *Loaded) execute(m *Machine, packet []byte) (result uint64, steps uint32) {
	r := &m.registers
	r[1] = contextBase
	r[bpf.FramePointer] = stackBase + bpf.StackBytes
	entries := &l.entries
	at, skipped := uint(0), uint(0)
	for {
		e := &entries[at&(entriesMax-1)]
		at++
		switch e.operation {
		case opAdd64K + bpf.OperationAdd>>4:
			r[e.destination] += e.immediate
		case opAdd64K + bpf.OperationSub>>4:
			r[e.destination] -= e.immediate
		case opAdd64K + bpf.OperationMul>>4:
			r[e.destination] *= e.immediate
		case opAdd64K + bpf.OperationDiv>>4:
			r[e.destination] = divide64(r[e.destination], e.immediate)
		case opAdd64K + bpf.OperationOr>>4:
			r[e.destination] |= e.immediate
		case opAdd64K + bpf.OperationAnd>>4:
			r[e.destination] &= e.immediate
		case opAdd64K + bpf.OperationLsh>>4:
			r[e.destination] <<= e.immediate & 63
		case opAdd64K + bpf.OperationRsh>>4:
			r[e.destination] >>= e.immediate & 63
		case opAdd64K + bpf.OperationNeg>>4:
			r[e.destination] = -r[e.destination]
		case opAdd64K + bpf.OperationMod>>4:
			r[e.destination] = modulo64(r[e.destination], e.immediate)
		case opAdd64K + bpf.OperationXor>>4:
			r[e.destination] ^= e.immediate
		case opAdd64K + bpf.OperationMov>>4:
			r[e.destination] = e.immediate
		case opAdd64K + bpf.OperationArsh>>4:
			r[e.destination] = uint64(int64(r[e.destination]) >> (e.immediate & 63))
		case opAdd64X + bpf.OperationAdd>>4:
			r[e.destination] += r[e.source]
		case opAdd64X + bpf.OperationSub>>4:
			r[e.destination] -= r[e.source]
		case opAdd64X + bpf.OperationMul>>4:
			r[e.destination] *= r[e.source]
		case opAdd64X + bpf.OperationDiv>>4:
			r[e.destination] = divide64(r[e.destination], r[e.source])
		case opAdd64X + bpf.OperationOr>>4:
			r[e.destination] |= r[e.source]
		case opAdd64X + bpf.OperationAnd>>4:
			r[e.destination] &= r[e.source]
		case opAdd64X + bpf.OperationLsh>>4:
			r[e.destination] <<= r[e.source] & 63
		case opAdd64X + bpf.OperationRsh>>4:
			r[e.destination] >>= r[e.source] & 63
		case opAdd64X + bpf.OperationMod>>4:
			r[e.destination] = modulo64(r[e.destination], r[e.source])
		case opAdd64X + bpf.OperationXor>>4:
			r[e.destination] ^= r[e.source]
		case opAdd64X + bpf.OperationMov>>4:
			r[e.destination] = r[e.source]
		case opAdd64X + bpf.OperationArsh>>4:
			r[e.destination] = uint64(int64(r[e.destination]) >> (r[e.source] & 63))
		case opAdd32K + bpf.OperationAdd>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) + uint32(e.immediate))
		case opAdd32K + bpf.OperationSub>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) - uint32(e.immediate))
		case opAdd32K + bpf.OperationMul>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) * uint32(e.immediate))
		case opAdd32K + bpf.OperationDiv>>4:
			r[e.destination] = divide64(uint64(uint32(r[e.destination])), uint64(uint32(e.immediate)))
		case opAdd32K + bpf.OperationOr>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) | uint32(e.immediate))
		case opAdd32K + bpf.OperationAnd>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) & uint32(e.immediate))
		case opAdd32K + bpf.OperationLsh>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) << (uint32(e.immediate) & 31))
		case opAdd32K + bpf.OperationRsh>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) >> (uint32(e.immediate) & 31))
		case opAdd32K + bpf.OperationNeg>>4:
			r[e.destination] = uint64(-uint32(r[e.destination]))
		case opAdd32K + bpf.OperationMod>>4:
			r[e.destination] = modulo64(uint64(uint32(r[e.destination])), uint64(uint32(e.immediate)))
		case opAdd32K + bpf.OperationXor>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) ^ uint32(e.immediate))
		case opAdd32K + bpf.OperationMov>>4:
			r[e.destination] = uint64(uint32(e.immediate))
		case opAdd32K + bpf.OperationArsh>>4:
			r[e.destination] = uint64(uint32(int32(r[e.destination]) >> (uint32(e.immediate) & 31)))
		case opAdd32X + bpf.OperationAdd>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) + uint32(r[e.source]))
		case opAdd32X + bpf.OperationSub>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) - uint32(r[e.source]))
		case opAdd32X + bpf.OperationMul>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) * uint32(r[e.source]))
		case opAdd32X + bpf.OperationDiv>>4:
			r[e.destination] = divide64(uint64(uint32(r[e.destination])), uint64(uint32(r[e.source])))
		case opAdd32X + bpf.OperationOr>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) | uint32(r[e.source]))
		case opAdd32X + bpf.OperationAnd>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) & uint32(r[e.source]))
		case opAdd32X + bpf.OperationLsh>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) << (uint32(r[e.source]) & 31))
		case opAdd32X + bpf.OperationRsh>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) >> (uint32(r[e.source]) & 31))
		case opAdd32X + bpf.OperationMod>>4:
			r[e.destination] = modulo64(uint64(uint32(r[e.destination])), uint64(uint32(r[e.source])))
		case opAdd32X + bpf.OperationXor>>4:
			r[e.destination] = uint64(uint32(r[e.destination]) ^ uint32(r[e.source]))
		case opAdd32X + bpf.OperationMov>>4:
			r[e.destination] = uint64(uint32(r[e.source]))
		case opAdd32X + bpf.OperationArsh>>4:
			r[e.destination] = uint64(uint32(int32(r[e.destination]) >> (uint32(r[e.source]) & 31)))
		case opJump64K + bpf.JumpEqual>>4:
			if r[e.destination] == e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpGreater>>4:
			if r[e.destination] > e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpGreaterEqual>>4:
			if r[e.destination] >= e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpSet>>4:
			if r[e.destination]&e.immediate != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpNotEqual>>4:
			if r[e.destination] != e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpSignedGreater>>4:
			if int64(r[e.destination]) > int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpSignedGreaterEq>>4:
			if int64(r[e.destination]) >= int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpLess>>4:
			if r[e.destination] < e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpLessEqual>>4:
			if r[e.destination] <= e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpSignedLess>>4:
			if int64(r[e.destination]) < int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64K + bpf.JumpSignedLessEqual>>4:
			if int64(r[e.destination]) <= int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpEqual>>4:
			if r[e.destination] == r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpGreater>>4:
			if r[e.destination] > r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpGreaterEqual>>4:
			if r[e.destination] >= r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpSet>>4:
			if r[e.destination]&r[e.source] != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpNotEqual>>4:
			if r[e.destination] != r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpSignedGreater>>4:
			if int64(r[e.destination]) > int64(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpSignedGreaterEq>>4:
			if int64(r[e.destination]) >= int64(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpLess>>4:
			if r[e.destination] < r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpLessEqual>>4:
			if r[e.destination] <= r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpSignedLess>>4:
			if int64(r[e.destination]) < int64(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump64X + bpf.JumpSignedLessEqual>>4:
			if int64(r[e.destination]) <= int64(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpEqual>>4:
			if uint32(r[e.destination]) == uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpGreater>>4:
			if uint32(r[e.destination]) > uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpGreaterEqual>>4:
			if uint32(r[e.destination]) >= uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpSet>>4:
			if uint32(r[e.destination])&uint32(e.immediate) != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpNotEqual>>4:
			if uint32(r[e.destination]) != uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpSignedGreater>>4:
			if int32(r[e.destination]) > int32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpSignedGreaterEq>>4:
			if int32(r[e.destination]) >= int32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpLess>>4:
			if uint32(r[e.destination]) < uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpLessEqual>>4:
			if uint32(r[e.destination]) <= uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpSignedLess>>4:
			if int32(r[e.destination]) < int32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32K + bpf.JumpSignedLessEqual>>4:
			if int32(r[e.destination]) <= int32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpEqual>>4:
			if uint32(r[e.destination]) == uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpGreater>>4:
			if uint32(r[e.destination]) > uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpGreaterEqual>>4:
			if uint32(r[e.destination]) >= uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpSet>>4:
			if uint32(r[e.destination])&uint32(r[e.source]) != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpNotEqual>>4:
			if uint32(r[e.destination]) != uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpSignedGreater>>4:
			if int32(r[e.destination]) > int32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpSignedGreaterEq>>4:
			if int32(r[e.destination]) >= int32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpLess>>4:
			if uint32(r[e.destination]) < uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpLessEqual>>4:
			if uint32(r[e.destination]) <= uint32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpSignedLess>>4:
			if int32(r[e.destination]) < int32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opJump32X + bpf.JumpSignedLessEqual>>4:
			if int32(r[e.destination]) <= int32(r[e.source]) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opGoto:
			skipped += uint(e.skip)
			at = uint(e.target)
		case opExit:
			return r[0], uint32(at - skipped)
		case opMoveExit:
			return e.immediate, uint32(at + 1 - skipped)
		case opMoveAdd64:
			r[e.destination] = r[e.source] + e.immediate
			at++
		case opPacketStart:
			r[e.destination] = packetBase
		case opPacketEnd:
			r[e.destination] = packetBase + uint64(m.packetBytes)
		case opPacket8:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) {
				return m.fault(place+packetBase, 1, uint32(at-skipped))
			}
			r[e.destination] = uint64(packet[place])
		case opPacket8Equal:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) {
				return m.fault(place+packetBase, 1, uint32(at-skipped))
			}
			value := packet[place]
			r[e.destination] = uint64(value)
			at++
			if value == e.size {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opPacket8NotEqual:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) {
				return m.fault(place+packetBase, 1, uint32(at-skipped))
			}
			value := packet[place]
			r[e.destination] = uint64(value)
			at++
			if value != e.size {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case opPacket16:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place+packetBase, 2, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.LittleEndian.Uint16(packet[place:]))
		case opPacket16Big16:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place+packetBase, 2, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.BigEndian.Uint16(packet[place:]))
			at++
		case opPacket32:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 4 {
				return m.fault(place+packetBase, 4, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.LittleEndian.Uint32(packet[place:]))
		case opPacket64:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 8 {
				return m.fault(place+packetBase, 8, uint32(at-skipped))
			}
			r[e.destination] = binary.LittleEndian.Uint64(packet[place:])
		case opStack64:
			place := r[e.source] + e.immediate
			if place > bpf.StackBytes-8 {
				return m.fault(place+stackBase, 8, uint32(at-skipped))
			}
			r[e.destination] = binary.LittleEndian.Uint64(m.stack[place:])
		case opStackStore64:
			place := r[e.destination] + e.immediate
			if place > bpf.StackBytes-8 {
				return m.fault(place+stackBase, 8, uint32(at-skipped))
			}
			binary.LittleEndian.PutUint64(m.stack[place:], r[e.source])
		case opContext:
			value, code := contextField(m.context, r[e.source]+e.immediate)
			if code != abi.OK {
				m.code = code
				return 0, uint32(at - skipped)
			}
			r[e.destination] = value
		case opLoad, opLoadSigned:
			value, code := m.load(r[e.source]+e.immediate, e.size)
			if code != abi.OK {
				m.code = code
				return 0, uint32(at - skipped)
			}
			if e.operation == opLoadSigned {
				shift := 64 - uint(e.size)*8
				value = uint64(int64(value<<shift) >> shift)
			}
			r[e.destination] = value
		case opStore:
			if m.code = m.store(r[e.destination]+e.immediate, e.size, r[e.source]); m.code != abi.OK {
				return 0, uint32(at - skipped)
			}
		case opStoreK:
			if m.code = m.store(r[e.destination]+uint64(int64(int16(e.target))), e.size, e.immediate); m.code != abi.OK {
				return 0, uint32(at - skipped)
			}
		case opBig16:
			r[e.destination] = uint64(bits.ReverseBytes16(uint16(r[e.destination])))
		case opBig32:
			r[e.destination] = uint64(bits.ReverseBytes32(uint32(r[e.destination])))
		case opSwap64:
			r[e.destination] = bits.ReverseBytes64(r[e.destination])
		case opCut16:
			r[e.destination] = uint64(uint16(r[e.destination]))
		case opCut32:
			r[e.destination] = uint64(uint32(r[e.destination]))
		case opNothing:
		case opMove8:
			r[e.destination] = uint64(int64(int8(r[e.source])))
		case opMove16:
			r[e.destination] = uint64(int64(int16(r[e.source])))
		case opMove32:
			r[e.destination] = uint64(int64(int32(r[e.source])))
		case opMove32From8:
			r[e.destination] = uint64(uint32(int32(int8(r[e.source]))))
		case opMove32From16:
			r[e.destination] = uint64(uint32(int32(int16(r[e.source]))))
		case opSignedDivide64K:
			r[e.destination] = signedDivide64(r[e.destination], e.immediate)
		case opSignedDivide64X:
			r[e.destination] = signedDivide64(r[e.destination], r[e.source])
		case opSignedDivide32K:
			r[e.destination] = signedDivide32(r[e.destination], e.immediate)
		case opSignedDivide32X:
			r[e.destination] = signedDivide32(r[e.destination], r[e.source])
		case opSignedModulo64K:
			r[e.destination] = signedModulo64(r[e.destination], e.immediate)
		case opSignedModulo64X:
			r[e.destination] = signedModulo64(r[e.destination], r[e.source])
		case opSignedModulo32K:
			r[e.destination] = signedModulo32(r[e.destination], e.immediate)
		case opSignedModulo32X:
			r[e.destination] = signedModulo32(r[e.destination], r[e.source])
		default:
			m.code = abi.ErrFault
			return 0, uint32(at - skipped)
		}
	}
}

// Division as RFC 9669 section 4.1 has it: x / 0 is 0, x % 0 is x, and the
// smallest number divided by -1 wraps.

func divide64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func modulo64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return a % b
}

func signedDivide64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return 0
	case -1:
		return -a
	}
	return uint64(int64(a) / int64(b))
}

func signedModulo64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return a
	case -1:
		return 0
	}
	return uint64(int64(a) % int64(b))
}

func signedDivide32(a, b uint64) uint64 {
	return uint64(uint32(signedDivide64(uint64(int64(int32(a))), uint64(int64(int32(b))))))
}

func signedModulo32(a, b uint64) uint64 {
	return uint64(uint32(signedModulo64(uint64(int64(int32(a))), uint64(int64(int32(b))))))
}
