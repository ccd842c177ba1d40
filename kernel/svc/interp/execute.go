package interp

import (
	"encoding/binary"
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// execute is the fast loop: a dispatch table, and as long as one. It holds the
// operations that filters are made of; everything else is in uncommon. The
// split is not taste: LLVM stops merging comparisons into one jump table at 64
// cases, and a second table costs each instruction four more.
//
// Steps are not counted but derived: jumps go forward, so entries run =
// position at the exit minus entries skipped.
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
		case hotAdd64K:
			r[e.destination] += e.immediate
		case hotAdd64X:
			r[e.destination] += r[e.source]
		case hotSub64X:
			r[e.destination] -= r[e.source]
		case hotAnd64K:
			r[e.destination] &= e.immediate
		case hotAnd64X:
			r[e.destination] &= r[e.source]
		case hotOr64X:
			r[e.destination] |= r[e.source]
		case hotLsh64K:
			r[e.destination] <<= e.immediate & 63
		case hotRsh64K:
			r[e.destination] >>= e.immediate & 63
		case hotMove64K:
			r[e.destination] = e.immediate
		case hotMove64X:
			r[e.destination] = r[e.source]
		case hotAdd32K:
			r[e.destination] = uint64(uint32(r[e.destination]) + uint32(e.immediate))
		case hotAdd32X:
			r[e.destination] = uint64(uint32(r[e.destination]) + uint32(r[e.source]))
		case hotAnd32K:
			r[e.destination] = uint64(uint32(r[e.destination]) & uint32(e.immediate))
		case hotLsh32K:
			r[e.destination] = uint64(uint32(r[e.destination]) << (e.immediate & 31))
		case hotRsh32K:
			r[e.destination] = uint64(uint32(r[e.destination]) >> (e.immediate & 31))
		case hotMove32K:
			r[e.destination] = uint64(uint32(e.immediate))
		case hotMove32X:
			r[e.destination] = uint64(uint32(r[e.source]))
		case hotJumpEqual64K:
			if r[e.destination] == e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpNotEqual64K:
			if r[e.destination] != e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpGreater64K:
			if r[e.destination] > e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpGreaterEqual64K:
			if r[e.destination] >= e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpLess64K:
			if r[e.destination] < e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpLessEqual64K:
			if r[e.destination] <= e.immediate {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpSet64K:
			if r[e.destination]&e.immediate != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpSignedGreater64K:
			if int64(r[e.destination]) > int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpSignedLess64K:
			if int64(r[e.destination]) < int64(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpEqual64X:
			if r[e.destination] == r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpNotEqual64X:
			if r[e.destination] != r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpGreater64X:
			if r[e.destination] > r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpGreaterEqual64X:
			if r[e.destination] >= r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpLess64X:
			if r[e.destination] < r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpLessEqual64X:
			if r[e.destination] <= r[e.source] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpEqual32K:
			if uint32(r[e.destination]) == uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpNotEqual32K:
			if uint32(r[e.destination]) != uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpGreater32K:
			if uint32(r[e.destination]) > uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpLess32K:
			if uint32(r[e.destination]) < uint32(e.immediate) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpSet32K:
			if uint32(r[e.destination])&uint32(e.immediate) != 0 {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotGoto:
			skipped += uint(e.skip)
			at = uint(e.target)
		case hotExit:
			return r[0], uint32(at - skipped)
		case hotMoveExit:
			return e.immediate, uint32(at + 1 - skipped)
		case hotMoveAdd64:
			r[e.destination] = r[e.source] + e.immediate
			at++
		case hotMoveAddGreater64:
			value := r[e.source] + e.immediate
			r[e.destination] = value
			at += 2
			if value > r[e.size] {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotJumpEqualPair:
			value := r[e.destination]
			if value == uint64(uint32(e.immediate)) {
				skipped += uint(e.skip)
				at = uint(e.target)
				continue
			}
			at++
			if value == e.immediate>>32 {
				e = &entries[(at-1)&(entriesMax-1)]
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPrologue:
			r[e.destination] = packetBase
			r[e.source] = packetBase + uint64(m.packetBytes)
			r[e.size] = packetBase + e.immediate
			at += 4
			if e.immediate > uint64(m.packetBytes) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacketStart:
			r[e.destination] = packetBase
		case hotPacketEnd:
			r[e.destination] = packetBase + uint64(m.packetBytes)
		case hotPacket8:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) {
				return m.fault(place, 1, uint32(at-skipped))
			}
			r[e.destination] = uint64(packet[place])
		case hotPacket16:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.LittleEndian.Uint16(packet[place:]))
		case hotPacket32:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 4 {
				return m.fault(place, 4, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.LittleEndian.Uint32(packet[place:]))
		case hotPacket64:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 8 {
				return m.fault(place, 8, uint32(at-skipped))
			}
			r[e.destination] = binary.LittleEndian.Uint64(packet[place:])
		case hotPacket16Big:
			place := r[e.source] + e.immediate
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			r[e.destination] = uint64(binary.BigEndian.Uint16(packet[place:]))
			at++
		case hotPacket8Equal:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) {
				return m.fault(place, 1, uint32(at-skipped))
			}
			value := packet[place]
			r[e.destination] = uint64(value)
			at++
			if uint32(value) == uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket8NotEqual:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) {
				return m.fault(place, 1, uint32(at-skipped))
			}
			value := packet[place]
			r[e.destination] = uint64(value)
			at++
			if uint32(value) != uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket16Equal:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			value := binary.LittleEndian.Uint16(packet[place:])
			r[e.destination] = uint64(value)
			at++
			if uint32(value) == uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket16NotEqual:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			value := binary.LittleEndian.Uint16(packet[place:])
			r[e.destination] = uint64(value)
			at++
			if uint32(value) != uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket32Equal:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 4 {
				return m.fault(place, 4, uint32(at-skipped))
			}
			value := binary.LittleEndian.Uint32(packet[place:])
			r[e.destination] = uint64(value)
			at++
			if value == uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket32NotEqual:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 4 {
				return m.fault(place, 4, uint32(at-skipped))
			}
			value := binary.LittleEndian.Uint32(packet[place:])
			r[e.destination] = uint64(value)
			at++
			if value != uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket16BigEqual:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			value := binary.BigEndian.Uint16(packet[place:])
			r[e.destination] = uint64(value)
			at += 2
			if uint32(value) == uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotPacket16BigNotEqual:
			place := r[e.source] + uint64(int64(int16(e.immediate))) - packetBase
			if place >= uint64(len(packet)) || uint64(len(packet))-place < 2 {
				return m.fault(place, 2, uint32(at-skipped))
			}
			value := binary.BigEndian.Uint16(packet[place:])
			r[e.destination] = uint64(value)
			at += 2
			if uint32(value) != uint32(e.immediate>>32) {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		case hotBig16:
			r[e.destination] = uint64(bits.ReverseBytes16(uint16(r[e.destination])))
		case hotStack64:
			place := r[e.source] + e.immediate
			if place > bpf.StackBytes-8 {
				return m.fault(place+stackBase-packetBase, 8, uint32(at-skipped))
			}
			r[e.destination] = binary.LittleEndian.Uint64(m.stack[place:])
		case hotStackStore64:
			place := r[e.destination] + e.immediate
			if place > bpf.StackBytes-8 {
				return m.fault(place+stackBase-packetBase, 8, uint32(at-skipped))
			}
			binary.LittleEndian.PutUint64(m.stack[place:], r[e.source])
		default:
			taken, fine := m.uncommon(e)
			if !fine {
				return 0, uint32(at - skipped)
			}
			if taken {
				skipped += uint(e.skip)
				at = uint(e.target)
			}
		}
	}
}
