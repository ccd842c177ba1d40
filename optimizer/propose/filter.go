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
	offsetVersion         = 14
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

// Print writes the filter as eBPF assembly. Whatever is no plain IPv4 packet
// passes: a filter decides only about what it can read.
//
// Registers: r1 context, r2 packet, r3 its end, r4 scratch, r5 the field asked.
// Multi-byte packet fields are loaded as they lie; constants are swapped
// instead, except where order matters.
func (n *Node) Print() string {
	var p printer
	p.line("; type: net.rx")
	p.line("; %s", n)
	p.line("r2 = *(u32 *)(r1 + 0)")
	p.line("r3 = *(u32 *)(r1 + 4)")
	p.bounds(bytesPorts)
	p.line("r5 = *(u16 *)(r2 + %d)", offsetEtherType)
	p.line("if r5 != %d goto pass", swap16(0x0800))
	p.line("r5 = *(u8 *)(r2 + %d)", offsetVersion)
	p.line("if r5 != 69 goto pass") // version 4, five words
	p.line("r5 = *(u16 *)(r2 + %d)", offsetFragment)
	p.line("if r5 & %d goto pass", swap16(0x3fff)) // more fragments, or an offset
	p.node(n)
	if p.used["drop"] {
		p.line("drop:")
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

func (p *printer) line(format string, a ...any) { fmt.Fprintf(&p.text, format+"\n", a...) }

func (p *printer) bounds(bytes int) {
	p.line("r4 = r2")
	p.line("r4 += %d", bytes)
	p.line("if r4 > r3 goto pass")
}

// node prints a tree: a leaf is a jump, an inner node falls into its else
// branch and jumps to its then branch.
func (p *printer) node(n *Node) {
	if n.Test == nil {
		p.line("goto %s", p.leaf(n))
		return
	}
	target, inner := p.leaf(n.Then), n.Then.Test != nil
	if inner {
		p.labels++
		target = fmt.Sprintf("then%d", p.labels)
	}
	p.test(n.Test, target)
	p.node(n.Else)
	if inner {
		p.line("%s:", target)
		p.node(n.Then)
	}
}

// leaf is the label of a leaf.
func (p *printer) leaf(n *Node) string {
	name := "pass"
	if n.Drop && n.Test == nil {
		name = "drop"
	}
	if p.used == nil {
		p.used = map[string]bool{}
	}
	if n.Test == nil {
		p.used[name] = true
	}
	return name
}

func (p *printer) test(t *Test, target string) {
	if t.Field == FieldTCPFlags {
		p.bounds(bytesTCPFlags) // a UDP or ICMP packet may be shorter: it passes
	}
	width, wide := p.load(t.Field)
	value := t.Value
	if t.Operator == Above && width > 8 && wide {
		p.line("r5 = be%d r5", width)
	} else if wide {
		value = swap(value, width)
	}
	operator := [operatorCount]string{"==", ">", "&"}[t.Operator]
	if width == 32 {
		// A 32-bit compare: a 64-bit one would extend the constant's sign.
		p.line("if w5 %s %d goto %s", operator, int32(value), target)
		return
	}
	p.line("if r5 %s %d goto %s", operator, value, target)
}

// load reads a field into r5 and returns its width in bits and whether it lies
// in network order.
func (p *printer) load(field Field) (width int, network bool) {
	at := func(bits, offset int) { p.line("r5 = *(u%d *)(r2 + %d)", bits, offset) }
	switch field {
	case FieldProtocol:
		at(8, offsetProtocol)
		return 8, false
	case FieldDestinationPort:
		at(16, offsetDestinationPort)
		return 16, true
	case FieldSourcePort:
		at(16, offsetSourcePort)
		return 16, true
	case FieldSource:
		at(32, offsetSource)
		return 32, true
	case FieldTCPFlags:
		at(8, offsetTCPFlags)
		return 8, false
	case FieldLength:
		at(16, offsetLength)
		return 16, true
	case FieldFlowPackets:
		p.line("r5 = *(u32 *)(r1 + 24)")
		return 32, false
	}
	at(8, 0)
	return 8, false
}

func swap16(v uint32) uint32 { return v>>8&0xff | v&0xff<<8 }

func swap(value uint32, width int) uint32 {
	if width == 16 {
		return swap16(value)
	}
	return swap16(value>>16) | swap16(value)<<16
}
