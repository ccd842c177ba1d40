package propose

import (
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

// Print writes a policy as eBPF assembly, the verifier log's pseudo-C, and
// returns its length; 0 when the text does not fit.
//
// Shape of every program, cheap and selective tests first:
//
//	bounds    the 42 bytes that every test may read are inside the packet
//	rules     tests on raw bytes; a hit on a drop rule goes to check
//	pass      no hit
//	check     the hit was real: EtherType IPv4, no options, no fragment
//	drop
//	other     the hit was not real: pass (a second time, jumps only go forward)
//
// Reading the ports before the EtherType is known is sound because only check
// leads to drop, and it is cheaper because most packets never get there.
//
// Registers: r1 context, r2 packet, r3 its end, r4 and r5 scratch, r6 the word
// of protocol and fragment bits, r7 source address, r8 destination port, r9
// source port. A field that two tests need is loaded before the first rule
// that needs it (every later rule is reached through that one), others where
// they are needed.
func Print(p *Policy, s *telemetry.Snapshot, text []byte) int {
	out := printer{text: text, policy: p, snapshot: s}
	out.prologue()
	for i := 0; i < p.Count; i++ {
		out.rule(i)
	}
	out.label(labelRule, p.Count)
	out.label(labelPass, 0)
	out.line("r0 = 2")
	out.line("exit")
	out.label(labelCheck, 0)
	out.check()
	out.line("r0 = 1")
	out.line("exit")
	out.label(labelOther, 0)
	out.line("r0 = 2")
	out.line("exit")
	if out.full {
		return 0
	}
	return out.used
}

// Labels: rule<n>, pass, check, other.
type labelKind uint8

const (
	labelRule  labelKind = 0
	labelPass  labelKind = 1
	labelCheck labelKind = 2
	labelOther labelKind = 3
)

type printer struct {
	text     []byte
	used     int
	full     bool
	policy   *Policy
	snapshot *telemetry.Snapshot
	loaded   uint16 // bit per register that holds its field
}

func (o *printer) string(s string) {
	if o.used+len(s) > len(o.text) {
		o.full = true
		return
	}
	copy(o.text[o.used:], s)
	o.used += len(s)
}

func (o *printer) line(s string) {
	o.string("\t")
	o.string(s)
	o.string("\n")
}

// number writes a 32-bit immediate as the assembler reads it: signed.
func (o *printer) number(value uint32) {
	if int32(value) < 0 {
		o.string("-")
		value = -value
	}
	var digits [10]byte
	at := len(digits)
	for {
		at--
		digits[at] = byte('0' + value%10)
		value /= 10
		if value == 0 {
			break
		}
	}
	if o.used+len(digits)-at > len(o.text) {
		o.full = true
		return
	}
	for ; at < len(digits); at++ {
		o.text[o.used] = digits[at]
		o.used++
	}
}

func (o *printer) name(kind labelKind, number int) {
	switch kind {
	case labelPass:
		o.string("pass")
	case labelCheck:
		o.string("check")
	case labelOther:
		o.string("other")
	default:
		o.string("rule")
		o.number(uint32(number))
	}
}

func (o *printer) label(kind labelKind, number int) {
	o.name(kind, number)
	o.string(":\n")
}

// jump writes "if REGISTER OPERATOR VALUE goto LABEL".
func (o *printer) jump(register, operator string, value uint32, kind labelKind, number int) {
	o.string("\tif ")
	o.string(register)
	o.string(operator)
	o.number(value)
	o.string(" goto ")
	o.name(kind, number)
	o.string("\n")
}

func (o *printer) load(register string, from string) {
	o.string("\t")
	o.string(register)
	o.string(" = ")
	o.string(from)
	o.string("\n")
}

// The loads, by the offsets in package telemetry. Multi-byte fields come in
// network order into a little-endian register; constants are swapped instead.
const (
	loadProtocol        = "*(u8 *)(r2 + 23)"
	loadProtocolWord    = "*(u32 *)(r2 + 20)"
	loadSource          = "*(u32 *)(r2 + 26)"
	loadSourcePort      = "*(u16 *)(r2 + 34)"
	loadDestinationPort = "*(u16 *)(r2 + 36)"
	loadTCPFlags        = "*(u8 *)(r2 + 47)"
	loadFlowPackets     = "*(u32 *)(r1 + 24)"
)

func (o *printer) prologue() {
	o.line("r2 = *(u32 *)(r1 + 0)")
	o.line("r3 = *(u32 *)(r1 + 4)")
	o.bounds(telemetry.BytesTransport, labelPass, 0)
}

// Registers that keep a field.
const (
	keptProtocol        = 6
	keptSource          = 7
	keptDestinationPort = 8
	keptSourcePort      = 9
)

// keeps says whether a field is worth a register of its own.
func (o *printer) keeps(register int) bool {
	switch register {
	case keptProtocol:
		return o.policy.uses(TestProtocol, 2)
	case keptSource:
		return o.policy.uses(TestSource, 2)
	case keptDestinationPort:
		return o.policy.uses(TestServed, 1) || o.policy.uses(TestDestinationPort, 2)
	case keptSourcePort:
		return o.policy.uses(TestSourcePort, 2)
	}
	return false
}

// keep loads a field that is kept, before the first rule that tests it.
func (o *printer) keep(kind TestKind) {
	register, name, from := 0, "", ""
	switch kind {
	case TestProtocol:
		register, name, from = keptProtocol, "r6", loadProtocolWord
	case TestSource:
		register, name, from = keptSource, "r7", loadSource
	case TestDestinationPort, TestServed:
		register, name, from = keptDestinationPort, "r8", loadDestinationPort
	case TestSourcePort:
		register, name, from = keptSourcePort, "r9", loadSourcePort
	}
	if register == 0 || o.loaded>>register&1 != 0 || !o.keeps(register) {
		return
	}
	o.loaded |= 1 << register
	o.load(name, from)
	if register == keptProtocol {
		o.line(maskProtocolWord)
	}
}

// bounds jumps away unless the packet has at least so many bytes.
func (o *printer) bounds(bytes uint32, kind labelKind, number int) {
	o.line("r4 = r2")
	o.string("\tr4 += ")
	o.number(bytes)
	o.string("\n\tif r4 > r3 goto ")
	o.name(kind, number)
	o.string("\n")
}

// The bytes 20 to 23 of an IPv4 frame, as a little-endian word: fragment bits
// and offset below, protocol on top; the mask 0xff00ff3f takes out the
// time to live and the bits that do not make a fragment.
// Equal to protocol<<24 means: this protocol, and no fragment.
const (
	maskProtocolWord = "w6 &= -16711873"
	protocolShift    = 24
)

// check lets only plain IPv4 through to drop: EtherType 0x0800, version 4 and
// five words in one compare (the type of service is masked out), then the
// fragment bits unless every rule that leads here has looked at them.
func (o *printer) check() {
	o.load("r5", "*(u32 *)(r2 + 12)")
	o.line("r5 &= 16777215")
	o.jump("r5", " != ", 0x450008, labelOther, 0)
	if o.unsureOfFragments() {
		o.load("r5", "*(u16 *)(r2 + 20)")
		o.jump("r5", " & ", 65343, labelOther, 0) // 0x3fff swapped: more fragments, or an offset
	}
}

// unsureOfFragments says whether some drop rule does not compare the protocol
// word.
func (o *printer) unsureOfFragments() bool {
	for i := 0; i < o.policy.Count; i++ {
		rule, sure := &o.policy.Rules[i], false
		for t := 0; t < rule.Count; t++ {
			test := &rule.Tests[t]
			sure = sure || test.Kind == TestProtocol && !test.Not
		}
		if !rule.Pass && rule.Count > 0 && !(sure && o.keeps(keptProtocol)) {
			return true
		}
	}
	return false
}

// rule writes one rule. Every test but the last leaves for the next rule when
// it fails; the last goes to the verdict when it holds.
func (o *printer) rule(number int) {
	rule := &o.policy.Rules[number]
	o.label(labelRule, number)
	hit := labelCheck
	if rule.Pass {
		hit = labelPass
	}
	if rule.Count == 0 {
		return // matches nothing: an empty conjunction would match all
	}
	for i := 0; i < rule.Count; i++ {
		o.keep(rule.Tests[i].Kind)
	}
	for i := 0; i < rule.Count; i++ {
		o.test(&rule.Tests[i], i == rule.Count-1, hit, number)
	}
}

// test writes one test of rule number.
func (o *printer) test(t *Test, last bool, hit labelKind, number int) {
	register, value := "r5", t.Value
	switch t.Kind {
	case TestServed:
		o.served(t.Not, last, hit, number)
		return
	case TestAttribute:
		o.attribute(telemetry.Attribute(t.Value), t.Not, last, hit, number)
		return
	case TestTCPFlags:
		o.bounds(telemetry.BytesTCP, labelRule, number+1)
		o.load("r5", loadTCPFlags)
		o.line("r5 &= 23")
	case TestProtocol:
		register, value = o.protocol(t.Value, t.Not)
	case TestSource:
		register = "w5" // 32-bit compare: the immediate is sign-extended in 64
		if o.field("r7", keptSource, loadSource) == "r7" {
			register = "w7"
		}
		value = swap32(t.Value)
	case TestSourceNet:
		o.load("r5", loadSource)
		o.line("r5 &= 16777215")
		value = swap32(t.Value << 8)
	case TestDestinationPort:
		register = o.field("r8", keptDestinationPort, loadDestinationPort)
		value = swap16(t.Value)
	case TestSourcePort:
		register = o.field("r9", keptSourcePort, loadSourcePort)
		value = swap16(t.Value)
	}
	o.decide(register, value, t.Not, last, hit, number)
}

// field returns the register that holds a field, after loading it into r5 if
// it is not kept.
func (o *printer) field(kept string, register int, from string) string {
	if o.loaded>>register&1 != 0 {
		return kept
	}
	o.load("r5", from)
	return "r5"
}

// protocol chooses how to compare the protocol: with the kept word, which also
// rules fragments out, or with the byte. "Not this protocol" must not come out
// true for a fragment of it, so it always looks at the byte.
func (o *printer) protocol(number uint32, not bool) (register string, value uint32) {
	if o.loaded>>keptProtocol&1 != 0 && !not {
		return "w6", number << protocolShift
	}
	o.load("r5", loadProtocol)
	return "r5", number
}

// decide ends an equality test.
func (o *printer) decide(register string, value uint32, not, last bool, hit labelKind, number int) {
	operator := " != "
	if last != not {
		operator = " == "
	}
	if last {
		o.jump(register, operator, value, hit, 0)
		return
	}
	o.jump(register, operator, value, labelRule, number+1)
}

// served writes the list of served ports, the most wanted first.
func (o *printer) served(not, last bool, hit labelKind, number int) {
	inList, inNumber := labelRule, number+1
	if !not && last {
		inList, inNumber = hit, 0
	}
	if !not && !last {
		o.full = true // a positive list in the middle has no place to go on to
		return
	}
	for i := 0; i < o.snapshot.PortCount; i++ {
		if o.earlierPort(i) {
			continue
		}
		o.jump("r8", " == ", swap16(uint32(o.snapshot.Ports[i].Number)), inList, inNumber)
	}
	if not && last {
		o.string("\tgoto ")
		o.name(hit, 0)
		o.string("\n")
	}
}

// earlierPort says whether the same number came before with another protocol.
func (o *printer) earlierPort(i int) bool {
	for j := 0; j < i; j++ {
		if o.snapshot.Ports[j].Number == o.snapshot.Ports[i].Number {
			return true
		}
	}
	return false
}

// attribute writes one of telemetry's yes-or-no tests.
func (o *printer) attribute(a telemetry.Attribute, not, last bool, hit labelKind, number int) {
	switch {
	case a == telemetry.AttributeUDP:
		register, value := o.protocol(telemetry.ProtocolUDP, not)
		o.decide(register, value, not, last, hit, number)
	case a == telemetry.AttributeTCP:
		register, value := o.protocol(telemetry.ProtocolTCP, not)
		o.decide(register, value, not, last, hit, number)
	case a >= telemetry.AttributeLong64 && a <= telemetry.AttributeLong1024:
		o.long(a.Threshold()+1, not, last, hit, number)
	case a >= telemetry.AttributeSeen4 && a <= telemetry.AttributeSeen64:
		o.load("r5", loadFlowPackets)
		operator := " <= "
		if last != not {
			operator = " > "
		}
		if last {
			o.jump("r5", operator, a.Threshold(), hit, 0)
		} else {
			o.jump("r5", operator, a.Threshold(), labelRule, number+1)
		}
	default:
		o.full = true // SYN-only is written as protocol and flags by the proposer
	}
}

// long asks whether the packet has at least so many bytes: the pointer compare
// that the verifier knows as a bounds check.
func (o *printer) long(bytes uint32, not, last bool, hit labelKind, number int) {
	o.line("r4 = r2")
	o.string("\tr4 += ")
	o.number(bytes)
	o.string("\n\tif r4 ")
	if last != not {
		o.string("<=")
	} else {
		o.string(">")
	}
	o.string(" r3 goto ")
	if last {
		o.name(hit, 0)
	} else {
		o.name(labelRule, number+1)
	}
	o.string("\n")
}

func swap16(v uint32) uint32 { return v>>8&0xff | v&0xff<<8 }

func swap32(v uint32) uint32 {
	return v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24
}
