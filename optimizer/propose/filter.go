package propose

import (
	"fmt"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Field is something of a packet that a test may look at.
type Field uint8

const (
	FieldProtocol        Field = iota // IPv4 protocol
	FieldDestinationPort              // TCP and UDP; garbage elsewhere, so filters test the protocol first
	FieldSourcePort
	FieldSource      // IPv4 source address
	FieldTCPFlags    // byte 13 of the TCP header
	FieldLength      // total length of the IPv4 header
	FieldFlowPackets // packets of this source in the window, from the context
	FieldFirstByte   // of the frame
	fieldCount
)

// Operator of a test.
type Operator uint8

const (
	Equal   Operator = iota
	Above            // field > value, unsigned
	AnyBits          // field & value != 0
	operatorCount
)

// Test is one question about a packet.
type Test struct {
	Field    Field
	Operator Operator
	Value    uint32
}

// Node is a decision tree: a leaf acts, an inner node asks and goes on. Trees
// are values that are never changed in place: a mutation builds a new one.
type Node struct {
	Test *Test // nil in a leaf
	Then *Node // the test holds
	Else *Node
	Drop bool // a leaf's action
}

// Bounds of a filter: they keep every printed program within what the kernel
// reserves (abi.ProgramInstructionsMax).
const (
	nodesMax = 48
	depthMax = 16
)

func pass() *Node { return &Node{} }
func drop() *Node { return &Node{Drop: true} }

func ask(field Field, operator Operator, value uint32, then, otherwise *Node) *Node {
	return &Node{Test: &Test{field, operator, value}, Then: then, Else: otherwise}
}

// size counts nodes, depth the longest way down.
func (n *Node) size() int {
	if n.Test == nil {
		return 1
	}
	return 1 + n.Then.size() + n.Else.size()
}

func (n *Node) depth() int {
	if n.Test == nil {
		return 0
	}
	return 1 + max(n.Then.depth(), n.Else.depth())
}

// String is the filter in one line, for people.
func (n *Node) String() string {
	if n.Test == nil {
		if n.Drop {
			return "drop"
		}
		return "pass"
	}
	return fmt.Sprintf("(%s ? %s : %s)", n.Test, n.Then, n.Else)
}

func (t *Test) String() string {
	name := [fieldCount]string{"protocol", "dport", "sport", "source", "flags", "length", "flow", "first"}[t.Field]
	value := fmt.Sprint(t.Value)
	if t.Field == FieldSource {
		value = fmt.Sprintf("%d.%d.%d.%d", t.Value>>24, t.Value>>16&255, t.Value>>8&255, t.Value&255)
	}
	return name + [operatorCount]string{"=", ">", "&"}[t.Operator] + value
}

// Offsets into an Ethernet frame with an IPv4 header without options.
const (
	offsetEtherType       = 12
	offsetLength          = 16
	offsetFragment        = 20
	offsetProtocol        = 23
	offsetSource          = 26
	offsetSourcePort      = 34
	offsetDestinationPort = 36
	offsetTCPFlags        = 47
	bytesPorts            = 38
	bytesTCPFlags         = 48
)

// plainIPv4 is the four bytes at offsetEtherType of IPv4 without options and of
// ordinary service, read as they lie: 08 00 45 00. One load asks it all.
const plainIPv4 = 0x00450008

// Print writes the filter as eBPF assembly. Whatever is no plain IPv4 packet
// passes: a filter decides only about what it can read.
//
// Shape, the cheap way first: the 38 bytes that most tests read are inside the
// packet; the tests, on raw bytes; and only before a drop, that the packet was
// plain IPv4 indeed. Packets that pass, the majority of those that matter, pay
// nothing for that check.
//
// Registers: r1 context, r2 packet, r3 its end, r4 scratch, r5 the field asked.
// A field asked twice in a row is loaded once. Multi-byte packet fields are
// loaded as they lie; constants are swapped instead, except where order matters.
func (n *Node) Print() string {
	p := printer{used: map[string]bool{}}
	p.line("; type: net.rx")
	p.line("; %s", n)
	p.line("r2 = *(u32 *)(r1 + 0)")
	p.line("r3 = *(u32 *)(r1 + 4)")
	p.bounds(bytesPorts)
	p.node(n, nothingHeld)
	if p.used["check"] {
		p.line("check:")
		p.line("r5 = *(u32 *)(r2 + %d)", offsetEtherType)
		p.line("if w5 != %d goto pass", plainIPv4)
		p.line("r5 = *(u16 *)(r2 + %d)", offsetFragment)
		p.line("if r5 & %d goto pass", swap16(0x3fff)) // more fragments, or an offset
		p.line("r0 = %d", abi.NetRXDrop)
		p.line("exit")
	}
	p.line("pass:")
	p.line("r0 = %d", abi.NetRXPass)
	p.line("exit")
	return p.text.String()
}

type printer struct {
	text   strings.Builder
	labels int
	used   map[string]bool
}

// held says what r5 holds: a field, and whether in host order.
type held struct {
	field     Field
	hostOrder bool
}

var nothingHeld = held{field: fieldCount}

// holdsIn is what r5 must hold for a test.
func (t *Test) holdsIn() held { return held{t.Field, t.Operator == Above} }

func (p *printer) line(format string, a ...any) { fmt.Fprintf(&p.text, format+"\n", a...) }

func (p *printer) bounds(bytes int) {
	p.line("r4 = r2")
	p.line("r4 += %d", bytes)
	p.line("if r4 > r3 goto pass")
}

// node prints a tree: a leaf is a jump, an inner node falls into its else
// branch and jumps to its then branch.
func (p *printer) node(n *Node, in held) {
	if n.Test == nil {
		p.line("goto %s", p.leaf(n))
		return
	}
	target, inner := "", n.Then.Test != nil
	if inner {
		p.labels++
		target = fmt.Sprintf("then%d", p.labels)
	} else {
		target = p.leaf(n.Then)
	}
	in = p.test(n.Test, target, in)
	p.node(n.Else, in)
	if inner {
		p.line("%s:", target)
		p.node(n.Then, in)
	}
}

// leaf is the label of a leaf.
func (p *printer) leaf(n *Node) string {
	if n.Drop {
		p.used["check"] = true
		return "check"
	}
	return "pass"
}

// test prints a question and returns what r5 holds after it.
func (p *printer) test(t *Test, target string, in held) held {
	width, network := fieldShape(t.Field)
	want := t.holdsIn()
	if in != want {
		if t.Field == FieldTCPFlags {
			p.bounds(bytesTCPFlags) // a UDP or ICMP packet may be shorter: it passes
		}
		p.load(t.Field)
		if want.hostOrder && network {
			p.line("r5 = be%d r5", width)
		}
	}
	value := t.Value
	if network && !want.hostOrder {
		value = swap(value, width)
	}
	operator := [operatorCount]string{"==", ">", "&"}[t.Operator]
	if width == 32 {
		// A 32-bit compare: a 64-bit one would extend the constant's sign.
		p.line("if w5 %s %d goto %s", operator, int32(value), target)
		return want
	}
	p.line("if r5 %s %d goto %s", operator, value, target)
	return want
}

// steps is how many instructions a test executes, given what r5 holds.
func (t *Test) steps(in held) int {
	if in == t.holdsIn() {
		return 1
	}
	steps := 2
	if t.Field == FieldTCPFlags {
		steps += 3
	}
	if _, network := fieldShape(t.Field); network && t.Operator == Above {
		steps++
	}
	return steps
}

// Instructions outside the tests, as Print writes them.
const (
	stepsBefore = 5 // two loads of the context, bounds
	stepsPass   = 2
	stepsDrop   = 4 + 2
)

// fieldShape is a field's width in bits and whether it lies in network order.
func fieldShape(field Field) (width int, network bool) {
	switch field {
	case FieldDestinationPort, FieldSourcePort, FieldLength:
		return 16, true
	case FieldSource:
		return 32, true
	case FieldFlowPackets:
		return 32, false
	}
	return 8, false
}

// load reads a field into r5 as it lies.
func (p *printer) load(field Field) {
	width, _ := fieldShape(field)
	if field == FieldFlowPackets {
		p.line("r5 = *(u32 *)(r1 + 24)")
		return
	}
	offset := [fieldCount]int{FieldProtocol: offsetProtocol, FieldDestinationPort: offsetDestinationPort,
		FieldSourcePort: offsetSourcePort, FieldSource: offsetSource, FieldTCPFlags: offsetTCPFlags, FieldLength: offsetLength}[field]
	p.line("r5 = *(u%d *)(r2 + %d)", width, offset) // the first byte lies at 0
}

func swap16(v uint32) uint32 { return v>>8&0xff | v&0xff<<8 }

func swap(value uint32, width int) uint32 {
	if width == 16 {
		return swap16(value)
	}
	return swap16(value>>16) | swap16(value)<<16
}
