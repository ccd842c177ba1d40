// Package propose is the second stage: it writes candidate programs. This file
// is the policy language that every proposer shares (rules now; trees,
// neighbours and a language model later): an ordered list of rules, each a
// conjunction of tests, the first match decides, no match passes.
//
// Invariants: a policy names only what telemetry observed; whatever it says, a
// packet that is not plain IPv4 (other EtherType, options, fragments) passes;
// a printed policy always parses. It vouches for nothing: that is for the
// stages behind it.
package propose

import "github.com/kingly-os/go-kernel/kernel/svc/telemetry"

// Sizes of one policy: 16 rules of at most 4 tests keep the text under
// abi.ProgramTextBytesMax (16 * 4 tests * 2 lines * 40 bytes = 5 KiB, the
// served-port list 32 * 30 bytes = 1 KiB, frame 1 KiB) and the program under
// abi.ProgramInstructionsMax.
const (
	RulesMax = 16
	TestsMax = 4
)

// TestKind says what a test compares.
type TestKind uint8

const (
	TestSource          TestKind = 1 // IPv4 source address == Value
	TestSourceNet       TestKind = 2 // its upper 24 bits == Value
	TestDestinationPort TestKind = 3 // == Value, protocol not looked at
	TestSourcePort      TestKind = 4 // == Value, protocol not looked at
	TestServed          TestKind = 5 // destination port is one of the snapshot's served ports
	TestProtocol        TestKind = 6 // IP protocol number == Value
	TestAttribute       TestKind = 7 // telemetry.Attribute(Value) holds
	TestTCPFlags        TestKind = 8 // SYN, ACK, FIN, RST bits == Value; follows TestProtocol 6
)

// Test is one yes-or-no question about a packet.
type Test struct {
	Kind  TestKind
	Not   bool
	Value uint32
}

// Rule drops (or passes) the packets for which all its tests hold.
type Rule struct {
	Pass  bool
	Count int
	Tests [TestsMax]Test
}

// Policy is an ordered list of rules.
type Policy struct {
	Count int
	Rules [RulesMax]Rule
}

// Clear forgets all rules.
func (p *Policy) Clear() { p.Count = 0 }

// Add starts a new rule and returns it, nil when the policy is full.
func (p *Policy) Add() *Rule {
	if p.Count >= RulesMax {
		return nil
	}
	rule := &p.Rules[p.Count]
	rule.Pass = false
	rule.Count = 0
	p.Count++
	return rule
}

// Test appends a test to a rule. A rule without room is left as it is and says
// so: a forgotten test would widen the rule.
func (r *Rule) Test(kind TestKind, value uint32, not bool) bool {
	if r.Count >= TestsMax {
		return false
	}
	r.Tests[r.Count] = Test{Kind: kind, Value: value, Not: not}
	r.Count++
	return true
}

// Drops says whether any rule can drop a packet.
func (p *Policy) Drops() bool {
	for i := 0; i < p.Count; i++ {
		if !p.Rules[i].Pass && p.Rules[i].Count > 0 {
			return true
		}
	}
	return false
}

// uses says whether a test of this kind occurs at least times times.
func (p *Policy) uses(kind TestKind, times int) bool {
	for i := 0; i < p.Count; i++ {
		for t := 0; t < p.Rules[i].Count; t++ {
			if p.Rules[i].Tests[t].Kind == kind {
				times--
			}
		}
	}
	return times <= 0
}

// SlotTests appends the tests that select a slot's packets, the most selective
// first. It says whether there was room.
func (r *Rule) SlotTests(slot *telemetry.Slot) bool {
	switch slot.Field {
	case telemetry.FieldAll:
		return true
	case telemetry.FieldSource:
		return r.Test(TestSource, slot.Value, false)
	case telemetry.FieldSourceNet:
		return r.Test(TestSourceNet, slot.Value, false)
	case telemetry.FieldDestinationPort:
		return r.Test(TestDestinationPort, slot.Value, false) && r.Test(TestProtocol, uint32(slot.Protocol), false)
	case telemetry.FieldSourcePort:
		return r.Test(TestSourcePort, slot.Value, false) && r.Test(TestProtocol, uint32(slot.Protocol), false)
	case telemetry.FieldClass:
		if !r.Test(TestProtocol, uint32(slot.Protocol), false) {
			return false
		}
		if slot.Protocol != telemetry.ProtocolTCP {
			return true
		}
		return r.Test(TestTCPFlags, slot.Value, false)
	}
	return false
}
