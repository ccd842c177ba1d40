package verify

import (
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Kind is what a register holds.
type Kind uint8

const (
	KindNone      Kind = iota // never written, or of no further use
	KindScalar                // a number
	KindContext               // pointer to the hook's context
	KindPacket                // pointer into the packet
	KindPacketEnd             // pointer behind the packet's last byte
	KindStack                 // pointer into the frame
)

// Register is what is known of one register.
//
// A pointer is base + Offset + Scalar: Offset is the sum of the constants
// added to it, Scalar that of the variables. Packet pointers of equal ID have
// the same variable part, and Range bytes from base + Scalar on are known to
// lie in the packet. Scalars of equal ID (not 0) are the same number.
type Register struct {
	Kind   Kind
	Range  uint16
	Offset int32
	ID     uint32
	Scalar Scalar
}

const (
	stackSlots = bpf.StackBytes / 8
	spillMax   = 16 // registers a state can hold on its stack; further numbers are forgotten, further pointers refused
	noSpill    = 0xff
)

// stackSlot is 8 bytes of the frame. Slot 0 is the highest: [r10-8, r10).
type stackSlot struct {
	written    uint8 // bit i: byte i of the slot was written
	spill      uint8 // index into State.spills, or noSpill
	spillBytes uint8 // how many of the lowest bytes hold it: 8, or fewer for a number
}

// State is what is known before an instruction, on one path.
type State struct {
	registers [bpf.RegisterCount]Register
	depth     uint8 // slots that were ever written
	spillUsed uint16
	stack     [stackSlots]stackSlot
	spills    [spillMax]Register
}

// Register returns what is known of a register.
func (s *State) Register(number int) *Register { return &s.registers[number] }

// StackWritten returns a bit for each byte of slot (0 is [r10-8, r10)) that
// was written, and the register spilled into its lowest bytes or nil.
func (s *State) StackWritten(slot int) (written uint8, spill *Register, spillBytes int) {
	if slot >= int(s.depth) {
		return 0, nil, 0
	}
	entry := s.stack[slot]
	if entry.spill != noSpill {
		spill = &s.spills[entry.spill]
	}
	return entry.written, spill, int(entry.spillBytes)
}

// CopyFrom copies only what is in use: a state is 2.5 KB, most of it stack.
func (s *State) CopyFrom(from *State) {
	s.registers = from.registers
	s.depth = from.depth
	s.spillUsed = from.spillUsed
	copy(s.stack[:from.depth], from.stack[:from.depth])
	for index := 0; index < spillMax; index++ {
		if from.spillUsed>>index&1 != 0 {
			s.spills[index] = from.spills[index]
		}
	}
}

// slot makes sure that slot index can be looked at.
func (s *State) reach(index int) *stackSlot {
	for int(s.depth) <= index {
		s.stack[s.depth] = stackSlot{spill: noSpill}
		s.depth++
	}
	return &s.stack[index]
}

// forgetSpill frees the register spilled in a slot.
func (s *State) forgetSpill(slot *stackSlot) {
	if slot.spill != noSpill {
		s.spillUsed &^= 1 << slot.spill
		slot.spill = noSpill
	}
}

// keepSpill records a register in the lowest bytes of a slot; false if the
// state can hold no more.
func (s *State) keepSpill(slot *stackSlot, register *Register, bytes int) bool {
	s.forgetSpill(slot)
	slot.written |= bytesMask(0, bytes)
	for index := 0; index < spillMax; index++ {
		if s.spillUsed>>index&1 == 0 {
			s.spillUsed |= 1 << index
			s.spills[index] = *register
			slot.spill, slot.spillBytes = uint8(index), uint8(bytes)
			return true
		}
	}
	return false
}

// linkedScalar narrows every other holder of a number to what was learnt of one.
func (s *State) linkedScalar(id uint32, learnt *Scalar) {
	if id == 0 {
		return
	}
	for number := range s.registers {
		if r := &s.registers[number]; r.Kind == KindScalar && r.ID == id {
			r.Scalar = *learnt
		}
	}
	for index := 0; index < spillMax; index++ {
		if s.spillUsed>>index&1 == 0 {
			continue
		}
		if r := &s.spills[index]; r.Kind == KindScalar && r.ID == id {
			r.Scalar = *learnt
		}
	}
}

// widenPacketRange tells all pointers of one id that bytes from their common
// base on are in the packet.
func (s *State) widenPacketRange(id uint32, bytes uint16) {
	for number := range s.registers {
		if r := &s.registers[number]; r.Kind == KindPacket && r.ID == id {
			r.Range = max(r.Range, bytes)
		}
	}
	for index := 0; index < spillMax; index++ {
		if s.spillUsed>>index&1 == 0 {
			continue
		}
		if r := &s.spills[index]; r.Kind == KindPacket && r.ID == id {
			r.Range = max(r.Range, bytes)
		}
	}
}

// idMap pairs the ids of an old state with those of a new one. The pairing is
// one to one: two numbers that were linked must be linked still, and two that
// were not must not be taken for one.
type idMap struct {
	count    int
	old, new [bpf.RegisterCount + spillMax]uint32
}

func (m *idMap) pair(old, new uint32) bool {
	for index := 0; index < m.count; index++ {
		if m.old[index] == old || m.new[index] == new {
			return m.old[index] == old && m.new[index] == new
		}
	}
	m.old[m.count], m.new[m.count] = old, new
	m.count++
	return true
}

// includes says that whatever may happen from the newer state may happen
// from s, which has been cleaned of everything dead.
func (s *State) includes(newer *State, ids *idMap) bool {
	ids.count = 0
	for number := 0; number < bpf.FramePointer; number++ {
		if !s.registers[number].includes(&newer.registers[number], ids) {
			return false
		}
	}
	for index := 0; index < int(s.depth); index++ {
		was := &s.stack[index]
		if was.written == 0 {
			continue
		}
		if index >= int(newer.depth) {
			return false
		}
		is := &newer.stack[index]
		if was.written&^is.written != 0 {
			return false
		}
		if was.spill == noSpill {
			if is.spill != noSpill && newer.spills[is.spill].Kind != KindScalar {
				return false // plain bytes may be read in part, a pointer may not
			}
			continue
		}
		if is.spill == noSpill || is.spillBytes != was.spillBytes || !s.spills[was.spill].includes(&newer.spills[is.spill], ids) {
			return false
		}
	}
	return true
}

func (r *Register) includes(newer *Register, ids *idMap) bool {
	if r.Kind == KindNone {
		return true // never read again
	}
	if r.Kind != newer.Kind {
		return false
	}
	switch r.Kind {
	case KindScalar:
		return r.Scalar.includes(&newer.Scalar) && (r.ID == 0 || newer.ID != 0 && ids.pair(r.ID, newer.ID))
	case KindPacket:
		if r.Range > newer.Range || r.Offset != newer.Offset || !r.Scalar.includes(&newer.Scalar) {
			return false
		}
		if r.ID == 0 || newer.ID == 0 {
			return r.ID == newer.ID
		}
		return ids.pair(r.ID, newer.ID)
	case KindPacketEnd:
		return true
	}
	return r.Offset == newer.Offset && r.Scalar.includes(&newer.Scalar)
}

// clean forgets registers and stack slots that no path from here reads, so
// that more new states are included in this one. Links of one member go too.
func (s *State) clean(liveRegisters uint16, liveSlots uint64) {
	for number := range s.registers {
		if liveRegisters>>number&1 == 0 && number != bpf.FramePointer {
			s.registers[number] = Register{}
		}
	}
	for index := 0; index < int(s.depth); index++ {
		if liveSlots>>index&1 == 0 {
			s.forgetSpill(&s.stack[index])
			s.stack[index].written = 0
		}
	}
	for number := range s.registers {
		s.dropSingularID(&s.registers[number])
	}
	for index := 0; index < spillMax; index++ {
		if s.spillUsed>>index&1 != 0 {
			s.dropSingularID(&s.spills[index])
		}
	}
}

func (s *State) dropSingularID(r *Register) {
	if r.Kind != KindScalar || r.ID == 0 {
		return
	}
	holders := 0
	for number := range s.registers {
		if o := &s.registers[number]; o.Kind == KindScalar && o.ID == r.ID {
			holders++
		}
	}
	for index := 0; index < spillMax; index++ {
		if s.spillUsed>>index&1 != 0 && s.spills[index].Kind == KindScalar && s.spills[index].ID == r.ID {
			holders++
		}
	}
	if holders < 2 {
		r.ID = 0
	}
}
