package telemetry

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// finish derives from exact counts what the proposer reads: shares, purity,
// the best splitting attribute, containers; and sorts the slots by share.
func (b *Builder) finish(s *Snapshot) {
	for i := 0; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		total := slot.Count.Total()
		if s.Events > 0 {
			slot.Share = uint16(1000 * uint64(total) / uint64(s.Events))
		}
		slot.Ports = uint8(bits.OnesCount64(b.ports[i]))
		slot.Dominant, slot.Purity = dominant(&b.known[i])
		bestSplit(slot, &b.splits[i])
		slot.Container = b.container(s, i)
	}
	sortSlots(s)
}

// dominant returns the most frequent known outcome and its share in per mille.
func dominant(known *[abi.OutcomeCount]uint32) (abi.Outcome, uint16) {
	best, total := abi.OutcomeUnknown, uint32(0)
	for o := abi.OutcomeDelivered; o < abi.OutcomeCount; o++ {
		total += known[o]
		if best == abi.OutcomeUnknown || known[o] > known[best] {
			best = o
		}
	}
	if total == 0 {
		return abi.OutcomeUnknown, 0
	}
	return best, uint16(1000 * uint64(known[best]) / uint64(total))
}

// bestSplit picks the attribute whose two sides, each called by its majority,
// put the most packets on the right side; it must beat the slot's own majority
// or there is no split.
func bestSplit(slot *Slot, with *[AttributeCount]Count) {
	best := max(slot.Count.Wanted, slot.Count.Unwanted())
	slot.Split = AttributeNone
	for a := AttributeSYNOnly; a < AttributeCount; a++ {
		inside := with[a]
		outside := Count{
			Wanted:  slot.Count.Wanted - inside.Wanted,
			Junk:    slot.Count.Junk - inside.Junk,
			Unknown: slot.Count.Unknown - inside.Unknown,
		}
		right := max(inside.Wanted, inside.Unwanted()) + max(outside.Wanted, outside.Unwanted())
		if right > best {
			best = right
			slot.Split, slot.With, slot.Without = a, inside, outside
		}
	}
}

// container finds the smallest larger slot that holds most of slot i.
func (b *Builder) container(s *Snapshot, i int) int8 {
	mine := s.Slots[i].Count.Total()
	found, size := int8(-1), uint32(0)
	for j := 1; j < s.SlotCount; j++ {
		other := s.Slots[j].Count.Total()
		if j == i || other <= mine || uint32(b.both[i][j])*100 < mine*containedPerCent {
			continue
		}
		if found < 0 || other < size {
			found, size = int8(j), other
		}
	}
	return found
}

// sortSlots orders slots 1.. by falling share (insertion sort: at most 23) and
// renumbers the containers.
func sortSlots(s *Snapshot) {
	var where [SlotsMax]int8 // old number -> new number
	var old [SlotsMax]int8   // new number -> old number
	for i := range old {
		old[i] = int8(i)
	}
	for i := 2; i < s.SlotCount; i++ {
		for j := i; j > 1 && s.Slots[j].Count.Total() > s.Slots[j-1].Count.Total(); j-- {
			s.Slots[j], s.Slots[j-1] = s.Slots[j-1], s.Slots[j]
			old[j], old[j-1] = old[j-1], old[j]
		}
	}
	for i := range old {
		where[old[i]] = int8(i)
	}
	for i := 0; i < s.SlotCount; i++ {
		if s.Slots[i].Container >= 0 {
			s.Slots[i].Container = where[s.Slots[i].Container]
		}
	}
}
