// Package rules is the hand-written proposer: it turns a telemetry snapshot
// into a handful of policies by fixed reasoning. It is the bar that every
// learned proposer must clear, so it is as good as we can make it by hand.
//
// Invariants: it only names constants of the snapshot; it never drops what the
// window shows as wanted; the same snapshot gives the same text. Its output is
// a proposal: nothing in this package makes it right.
package rules

import (
	"github.com/kingly-os/go-kernel/kernel/svc/propose"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

// Candidates is how many different policies Propose can write. With the
// default and the running program it makes abi.CandidatesMax.
const Candidates = 6

// What is worth a rule: 8 packets of a window of 1024 (0.8 %) cannot pay for a
// test that every other packet makes, but the dry run decides that, not we.
const unwantedMin = 8

// Proposer holds the policy being written; it is too large for a stack.
type Proposer struct {
	policy propose.Policy
	ruled  [telemetry.SlotsMax]bool
}

// Propose writes the text of candidate k and returns its length, 0 when the
// snapshot gives no reason for a candidate of that kind.
func (p *Proposer) Propose(s *telemetry.Snapshot, k int, text []byte) int {
	p.policy.Clear()
	for i := range p.ruled {
		p.ruled[i] = false
	}
	switch k {
	case 0: // everything that is not for a served port, floods on served ones too
		p.splits(s)
		p.closed(s)
	case 1: // name the offenders one by one
		p.sources(s)
		p.scan(s)
		p.ports(s)
		p.splits(s)
	case 2: // datagrams only where somebody listens: their refusal costs most
		p.datagrams(s)
	case 3:
		p.ports(s)
	case 4: // the sources alone; without any, connections and datagrams
		p.sources(s)
		if !p.policy.Drops() {
			p.scan(s)
			p.datagrams(s)
		}
	case 5:
		p.closed(s)
	}
	if !p.policy.Drops() {
		return 0
	}
	return propose.Print(&p.policy, s, text)
}

// undo takes the last rule back when one of its tests found no room: without
// it the rule would match more than was meant.
func (p *Proposer) undo(complete bool) {
	if !complete {
		p.policy.Count--
	}
}

// junk says whether nobody wanted any packet of a slot and there are enough.
func junk(slot *telemetry.Slot) bool {
	return slot.Count.Wanted == 0 && slot.Count.Unwanted() >= unwantedMin
}

// inside says whether a rule for the slot's container covers it already.
func (p *Proposer) inside(slot *telemetry.Slot) bool {
	return slot.Container >= 0 && p.ruled[slot.Container]
}

// ports drops destination ports that nobody serves.
func (p *Proposer) ports(s *telemetry.Snapshot) {
	for i := 1; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Field != telemetry.FieldDestinationPort || !junk(slot) || p.inside(slot) {
			continue
		}
		if rule := p.policy.Add(); rule != nil {
			p.undo(rule.SlotTests(slot))
			p.ruled[i] = true
		}
	}
}

// sources drops what comes from sources that mostly send junk, except to the
// ports that deliver.
func (p *Proposer) sources(s *telemetry.Snapshot) {
	for i := 1; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Field != telemetry.FieldSource && slot.Field != telemetry.FieldSourceNet || p.inside(slot) {
			continue
		}
		unwanted := slot.Count.Unwanted()
		if unwanted < unwantedMin || unwanted < slot.Count.Wanted {
			continue
		}
		if slot.Count.Wanted > 0 && !s.PortsComplete {
			continue
		}
		rule := p.policy.Add()
		if rule == nil {
			return
		}
		complete := rule.SlotTests(slot)
		if slot.Count.Wanted > 0 {
			// ICMP has no port: its bytes would be read as one.
			complete = complete && rule.Test(propose.TestProtocol, telemetry.ProtocolICMP, true)
			complete = complete && rule.Test(propose.TestServed, 0, true)
		}
		p.undo(complete)
		p.ruled[i] = complete
	}
}

// scan drops SYN without ACK to ports that never delivered: one rule for any
// number of scanners and scanned ports.
func (p *Proposer) scan(s *telemetry.Snapshot) {
	for i := 1; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Field != telemetry.FieldClass || slot.Protocol != telemetry.ProtocolTCP || slot.Value != telemetry.FlagSYN {
			continue
		}
		if slot.Count.Unwanted() < unwantedMin || slot.Count.Wanted > 0 && !s.PortsComplete {
			return
		}
		rule := p.policy.Add()
		if rule == nil {
			return
		}
		complete := rule.SlotTests(slot)
		if slot.Count.Wanted > 0 || s.PortsComplete {
			complete = complete && rule.Test(propose.TestServed, 0, true)
		}
		p.undo(complete)
		p.ruled[i] = complete
		return
	}
}

// datagrams drops UDP to ports that never delivered.
func (p *Proposer) datagrams(s *telemetry.Snapshot) {
	if !s.PortsComplete || unwantedOf(s, telemetry.ProtocolUDP) < unwantedMin {
		return
	}
	if rule := p.policy.Add(); rule != nil {
		p.undo(rule.Test(propose.TestProtocol, telemetry.ProtocolUDP, false) &&
			rule.Test(propose.TestServed, 0, true))
	}
}

// closed passes what goes to served ports and drops the rest of TCP and UDP.
// The pass comes first: wanted packets leave after one load and a compare.
func (p *Proposer) closed(s *telemetry.Snapshot) {
	if !s.PortsComplete || s.PortCount == 0 {
		return
	}
	udp := unwantedOf(s, telemetry.ProtocolUDP) >= unwantedMin
	tcp := unwantedOf(s, telemetry.ProtocolTCP) >= unwantedMin
	if !udp && !tcp {
		return
	}
	rule := p.policy.Add()
	if rule == nil {
		return
	}
	rule.Pass = true
	rule.Test(propose.TestServed, 0, false)
	if tcp {
		p.protocol(telemetry.ProtocolTCP)
	}
	if udp {
		p.protocol(telemetry.ProtocolUDP)
	}
}

func (p *Proposer) protocol(number uint32) {
	if rule := p.policy.Add(); rule != nil {
		p.undo(rule.Test(propose.TestProtocol, number, false))
	}
}

// unwantedOf sums a protocol's unwanted packets over the class slots.
func unwantedOf(s *telemetry.Snapshot, protocol uint8) uint32 {
	sum := uint32(0)
	for i := 1; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Field == telemetry.FieldClass && slot.Protocol == protocol {
			sum += slot.Count.Unwanted()
		}
	}
	return sum
}

// splits drops the side of a mixed slot that nobody wanted: a SYN flood on a
// served port, long answers from an amplifier, a source seen too often.
func (p *Proposer) splits(s *telemetry.Snapshot) {
	for i := 0; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Split == telemetry.AttributeNone || slot.Count.Wanted == 0 || p.inside(slot) {
			continue
		}
		with := slot.With.Wanted == 0 && slot.With.Unwanted() >= unwantedMin
		without := slot.Without.Wanted == 0 && slot.Without.Unwanted() >= unwantedMin
		if !with && !without {
			continue
		}
		rule := p.policy.Add()
		if rule == nil {
			return
		}
		complete := rule.SlotTests(slot) && attribute(rule, slot.Split, !with)
		p.undo(complete)
		p.ruled[i] = complete
	}
}

// attribute appends the test for one side of a split. SYN-only is two tests
// and has no one-rule complement.
func attribute(rule *propose.Rule, a telemetry.Attribute, not bool) bool {
	if a != telemetry.AttributeSYNOnly {
		return rule.Test(propose.TestAttribute, uint32(a), not)
	}
	if not {
		return false
	}
	return rule.Test(propose.TestProtocol, telemetry.ProtocolTCP, false) &&
		rule.Test(propose.TestTCPFlags, telemetry.FlagSYN, false)
}
