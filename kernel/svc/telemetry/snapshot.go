package telemetry

import "github.com/kingly-os/go-kernel/kernel/abi"

// Field is what the value of a slot is compared with.
type Field uint8

const (
	FieldAll             Field = 0 // every packet: the slot of rules without a constant
	FieldSource          Field = 1 // IPv4 source address
	FieldSourceNet       Field = 2 // its upper 24 bits
	FieldDestinationPort Field = 3 // with Protocol
	FieldSourcePort      Field = 4 // with Protocol
	FieldClass           Field = 5 // Kind and the TCP flags SYN, ACK, FIN, RST
	FieldCount                 = 6
)

// How many slots each field may have. Their sum bounds the work of counting
// and fits the bits of one word.
const (
	slotsSource      = 4
	slotsSourceNet   = 2
	slotsJunkPort    = 6
	slotsServedPort  = 4
	slotsSourcePort  = 3
	slotsClass       = 4
	SlotsMax         = 1 + slotsSource + slotsSourceNet + slotsJunkPort + slotsServedPort + slotsSourcePort + slotsClass
	slotEventsMin    = 8  // below this a share is noise
	containedPerCent = 70 // of a slot's packets, to call another one its container
)

// Count is how many packets were wanted, junk, or dropped without anyone
// looking.
type Count struct {
	Wanted  uint32
	Junk    uint32
	Unknown uint32
}

// Total is all of them.
func (c *Count) Total() uint32 { return c.Wanted + c.Junk + c.Unknown }

// Unwanted counts what no consumer is known to want.
func (c *Count) Unwanted() uint32 { return c.Junk + c.Unknown }

func (c *Count) add(v Verdict) {
	switch v {
	case VerdictWanted:
		c.Wanted++
	case VerdictJunk:
		c.Junk++
	default:
		c.Unknown++
	}
}

// Slot is an observed constant worth naming in a program.
type Slot struct {
	Field     Field
	Protocol  uint8
	Value     uint32
	Count     Count
	Dominant  abi.Outcome // the most frequent known outcome
	Purity    uint16      // share of the dominant outcome among known ones, per mille
	Share     uint16      // of the window, per mille
	Split     Attribute   // the test that best separates wanted from unwanted
	With      Count       // packets of the slot where Split is true
	Without   Count       // ... and where it is false
	Ports     uint8       // distinct destination ports, 0..64, estimated by 64 hash bits
	Container int8        // slot that holds at least 70 % of this one, -1 = none
}

// Port is a destination port that delivered packets.
type Port struct {
	Protocol uint8
	Number   uint16
	Wanted   uint32
}

// PortsMax is how many served ports a snapshot can name.
const PortsMax = heavyCounters

// Snapshot is what a proposer knows about a window.
type Snapshot struct {
	Events        uint32
	Lost          uint64
	ByOutcome     [abi.OutcomeCount]uint32
	CostByOutcome [abi.OutcomeCount]uint64 // sums of CostInsn
	CostInsn      uint64                   // sum over all events
	ProgramRan    uint32
	Errors        uint32
	Audited       uint32
	AuditedWanted uint32
	SlotCount     int
	Slots         [SlotsMax]Slot // slot 0 is FieldAll, the others sorted by share
	PortCount     int
	Ports         [PortsMax]Port // served ports, most wanted first
	PortsComplete bool           // false: more served ports than Ports holds
}

// MeanCost returns the mean cost of one outcome in instructions, 0 if unseen.
func (s *Snapshot) MeanCost(outcome abi.Outcome) uint64 {
	if outcome >= abi.OutcomeCount || s.ByOutcome[outcome] == 0 {
		return 0
	}
	return s.CostByOutcome[outcome] / uint64(s.ByOutcome[outcome])
}

// Builder makes a Snapshot of a frozen window in two passes: the first finds
// the frequent values, the second counts them exactly.
type Builder struct {
	phase  uint8
	next   int
	tables [tableCount]heavy
	splits [SlotsMax][AttributeCount]Count    // with the attribute
	known  [SlotsMax][abi.OutcomeCount]uint32 // by outcome
	both   [SlotsMax][SlotsMax]uint16         // packets in two slots
	ports  [SlotsMax]uint64
}

const (
	tableSource = iota
	tableSourceNet
	tableJunkPort
	tableServedPort
	tableSourcePort
	tableClass
	tableCount
)

const (
	phaseSift = iota
	phaseCount
	phaseDone
)

// Begin starts over.
func (b *Builder) Begin(s *Snapshot) {
	b.phase = phaseSift
	b.next = 0
	for i := range b.tables {
		b.tables[i].clear()
	}
	*s = Snapshot{}
}

// Step looks at up to events more events and says whether s is complete.
func (b *Builder) Step(w *Window, s *Snapshot, events int) bool {
	for ; events > 0 && b.phase != phaseDone; events-- {
		switch {
		case b.next < w.Count && b.phase == phaseSift:
			b.sift(&w.Packets[b.next])
			tally(&w.Events[b.next], s)
			b.next++
		case b.next < w.Count:
			b.count(s, &w.Packets[b.next], w.Events[b.next].Outcome)
			b.next++
		case b.phase == phaseSift:
			s.Lost = w.Lost
			b.choose(s)
			b.phase, b.next = phaseCount, 0
		default:
			b.finish(s)
			b.phase = phaseDone
		}
	}
	return b.phase == phaseDone
}

func tally(event *abi.NetRXEvent, s *Snapshot) {
	outcome := event.Outcome
	if outcome >= abi.OutcomeCount {
		outcome = abi.OutcomeUnknown
	}
	s.Events++
	s.ByOutcome[outcome]++
	s.CostByOutcome[outcome] += uint64(event.CostInsn)
	s.CostInsn += uint64(event.CostInsn)
	if event.Flags&abi.EventProgramRan != 0 {
		s.ProgramRan++
	}
	if event.Flags&abi.EventError != 0 {
		s.Errors++
	}
	if event.Flags&abi.EventAudited != 0 {
		s.Audited++
		if verdictOf(event) == VerdictWanted {
			s.AuditedWanted++
		}
	}
}

// protocolOf gives the protocol number that belongs to a kind.
func protocolOf(kind Kind) uint8 {
	switch kind {
	case KindTCP:
		return ProtocolTCP
	case KindUDP:
		return ProtocolUDP
	case KindICMP:
		return ProtocolICMP
	}
	return 0
}

func portKey(kind Kind, port uint16) uint64 {
	return uint64(protocolOf(kind))<<32 | uint64(port)
}

func classKey(p *Packet) uint64 {
	flags := p.TCPFlags & (FlagSYN | FlagACK | FlagFIN | FlagRST)
	return uint64(protocolOf(p.Kind))<<32 | uint64(flags)
}

func (b *Builder) sift(p *Packet) {
	if p.Kind == KindOther {
		return
	}
	b.tables[tableSource].add(uint64(p.SourceAddress))
	b.tables[tableSourceNet].add(uint64(p.SourceAddress >> 8))
	b.tables[tableClass].add(classKey(p))
	if p.Kind == KindICMP {
		return
	}
	b.tables[tableSourcePort].add(portKey(p.Kind, p.SourcePort))
	if p.Verdict == VerdictWanted {
		b.tables[tableServedPort].add(portKey(p.Kind, p.DestinationPort))
	} else {
		b.tables[tableJunkPort].add(portKey(p.Kind, p.DestinationPort))
	}
}

// choose turns the heaviest keys into slots and lists the served ports.
func (b *Builder) choose(s *Snapshot) {
	s.PortsComplete = !b.tables[tableServedPort].spilt
	s.Slots[0] = Slot{Field: FieldAll, Container: -1}
	s.SlotCount = 1
	b.take(s, tableSource, FieldSource, slotsSource)
	b.take(s, tableSourceNet, FieldSourceNet, slotsSourceNet)
	b.take(s, tableJunkPort, FieldDestinationPort, slotsJunkPort)
	b.take(s, tableSourcePort, FieldSourcePort, slotsSourcePort)
	b.take(s, tableClass, FieldClass, slotsClass)
	served := &b.tables[tableServedPort]
	for taken := 0; s.PortCount < PortsMax; taken++ {
		key, count := served.top()
		if count == 0 {
			break
		}
		s.Ports[s.PortCount] = Port{Protocol: uint8(key >> 32), Number: uint16(key), Wanted: count}
		s.PortCount++
		if taken < slotsServedPort {
			addSlot(s, FieldDestinationPort, key, count)
		}
	}
	for i := 0; i < s.SlotCount; i++ {
		b.ports[i] = 0
		for a := range b.splits[i] {
			b.splits[i][a] = Count{}
		}
		for j := range b.both[i] {
			b.both[i][j] = 0
		}
		for o := range b.known[i] {
			b.known[i][o] = 0
		}
	}
}

func (b *Builder) take(s *Snapshot, table int, field Field, limit int) {
	for n := 0; n < limit; n++ {
		key, count := b.tables[table].top()
		if count == 0 {
			return
		}
		addSlot(s, field, key, count)
	}
}

// addSlot adds a slot unless it is too rare or there already (a port may be
// both served and junk).
func addSlot(s *Snapshot, field Field, key uint64, count uint32) {
	if count < slotEventsMin || s.SlotCount >= SlotsMax {
		return
	}
	slot := Slot{Field: field, Protocol: uint8(key >> 32), Value: uint32(key), Container: -1}
	for i := 0; i < s.SlotCount; i++ {
		if s.Slots[i].Field == field && s.Slots[i].Protocol == slot.Protocol && s.Slots[i].Value == slot.Value {
			return
		}
	}
	s.Slots[s.SlotCount] = slot
	s.SlotCount++
}

// Matches says whether a packet belongs to a slot.
func (slot *Slot) Matches(p *Packet) bool {
	switch slot.Field {
	case FieldAll:
		return true
	case FieldSource:
		return p.Kind != KindOther && p.SourceAddress == slot.Value
	case FieldSourceNet:
		return p.Kind != KindOther && p.SourceAddress>>8 == slot.Value
	case FieldDestinationPort:
		return protocolOf(p.Kind) == slot.Protocol && uint32(p.DestinationPort) == slot.Value
	case FieldSourcePort:
		return protocolOf(p.Kind) == slot.Protocol && uint32(p.SourcePort) == slot.Value
	case FieldClass:
		return p.Kind != KindOther && classKey(p) == uint64(slot.Protocol)<<32|uint64(slot.Value)
	}
	return false
}

// count adds one packet to every slot it belongs to.
func (b *Builder) count(s *Snapshot, p *Packet, outcome abi.Outcome) {
	if outcome >= abi.OutcomeCount {
		outcome = abi.OutcomeUnknown
	}
	member := uint32(0)
	portBit := uint64(1) << (uint32(p.DestinationPort) * 0x9e3779b1 >> 26)
	for i := 0; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if !slot.Matches(p) {
			continue
		}
		member |= 1 << i
		slot.Count.add(p.Verdict)
		b.known[i][outcome]++
		if p.Kind == KindTCP || p.Kind == KindUDP {
			b.ports[i] |= portBit
		}
		for a := AttributeSYNOnly; a < AttributeCount; a++ {
			if p.Attributes.Has(a) {
				b.splits[i][a].add(p.Verdict)
			}
		}
		for j := 0; j < i; j++ {
			if member>>j&1 != 0 {
				b.both[i][j]++
				b.both[j][i]++
			}
		}
	}
}
