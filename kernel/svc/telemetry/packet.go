package telemetry

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Kind is what a program can cheaply tell about a packet before it looks at
// ports. Everything that is not plain IPv4 without options and fragments is
// KindOther, and no synthesised program ever drops it.
type Kind uint8

const (
	KindOther Kind = 0
	KindTCP   Kind = 1
	KindUDP   Kind = 2
	KindICMP  Kind = 3
)

// Internet protocol numbers (IANA).
const (
	ProtocolICMP = 1
	ProtocolTCP  = 6
	ProtocolUDP  = 17
)

// TCP flag bits in byte 13 of the header (RFC 9293 section 3.1).
const (
	FlagFIN = 0x01
	FlagSYN = 0x02
	FlagRST = 0x04
	FlagACK = 0x10
)

// Offsets in an Ethernet frame that carries IPv4 without options.
const (
	OffsetEtherType       = 12
	OffsetVersionIHL      = 14
	OffsetFragment        = 20
	OffsetProtocol        = 23
	OffsetSourceAddress   = 26
	OffsetSourcePort      = 34
	OffsetDestinationPort = 36
	OffsetTCPFlags        = 47

	BytesNetwork   = 34 // Ethernet and IPv4 headers
	BytesTransport = 42 // ... and a UDP or ICMP header
	BytesTCP       = 54 // ... or a TCP header without options
)

// Packet holds the fields a policy may test.
type Packet struct {
	SourceAddress   uint32 // as the number whose top byte comes first on the wire
	SourcePort      uint16
	DestinationPort uint16
	Bytes           uint16
	Kind            Kind
	TCPFlags        uint8
	Attributes      Attributes
	Verdict         Verdict
}

// Verdict folds an event's outcome into what a policy cares about.
type Verdict uint8

const (
	VerdictJunk    Verdict = 0 // nobody wanted it
	VerdictWanted  Verdict = 1 // a consumer took it, or another CPU did
	VerdictUnknown Verdict = 2 // dropped and not audited
)

// Attributes is a set of yes-or-no tests, one bit each.
type Attributes uint16

// Attribute numbers one of them. The order is the order of cost: among equal
// splits the first wins.
type Attribute uint8

const (
	AttributeNone      Attribute = 0
	AttributeSYNOnly   Attribute = 1 // TCP, SYN without ACK
	AttributeUDP       Attribute = 2
	AttributeTCP       Attribute = 3
	AttributeLong64    Attribute = 4 // more than 64 bytes, and so on
	AttributeLong128   Attribute = 5
	AttributeLong256   Attribute = 6
	AttributeLong512   Attribute = 7
	AttributeLong1024  Attribute = 8
	AttributeSeen4     Attribute = 9 // source seen more than 4 times, and so on
	AttributeSeen16    Attribute = 10
	AttributeSeen64    Attribute = 11
	AttributeCount               = 12
	firstLongLog2                = 6
	firstSeenThreshold           = 4
)

// Has says whether the test is true.
func (a Attributes) Has(attribute Attribute) bool { return a>>attribute&1 != 0 }

// Threshold returns the number a Long or Seen attribute compares with.
func (a Attribute) Threshold() uint32 {
	switch {
	case a >= AttributeLong64 && a <= AttributeLong1024:
		return 1 << (firstLongLog2 + uint32(a-AttributeLong64))
	case a >= AttributeSeen4 && a <= AttributeSeen64:
		return firstSeenThreshold << (2 * uint32(a-AttributeSeen4))
	}
	return 0
}

// decode reads the fields of one event. A snap that ends early gives KindOther:
// what cannot be seen is not proposed.
func decode(event *abi.NetRXEvent, p *Packet) {
	*p = Packet{Bytes: event.PacketBytes, Verdict: verdictOf(event)}
	snap := event.Snap[:]
	seen := int(event.SnapBytes)
	if seen > len(snap) {
		seen = len(snap)
	}
	if seen >= BytesTransport &&
		binary.BigEndian.Uint16(snap[OffsetEtherType:]) == 0x0800 &&
		snap[OffsetVersionIHL] == 0x45 &&
		binary.BigEndian.Uint16(snap[OffsetFragment:])&0x3fff == 0 {
		decodeTransport(snap, seen, p)
	}
	p.Attributes = attributesOf(event, p)
}

func decodeTransport(snap []byte, seen int, p *Packet) {
	switch snap[OffsetProtocol] {
	case ProtocolTCP:
		if seen < BytesTCP {
			return
		}
		p.Kind = KindTCP
		p.TCPFlags = snap[OffsetTCPFlags]
	case ProtocolUDP:
		p.Kind = KindUDP
	case ProtocolICMP:
		p.Kind = KindICMP
	default:
		return
	}
	p.SourceAddress = binary.BigEndian.Uint32(snap[OffsetSourceAddress:])
	if p.Kind != KindICMP {
		p.SourcePort = binary.BigEndian.Uint16(snap[OffsetSourcePort:])
		p.DestinationPort = binary.BigEndian.Uint16(snap[OffsetDestinationPort:])
	}
}

func verdictOf(event *abi.NetRXEvent) Verdict {
	switch event.Outcome {
	case abi.OutcomeDelivered, abi.OutcomeSteered:
		return VerdictWanted
	case abi.OutcomeNoConsumer, abi.OutcomeMalformed:
		return VerdictJunk
	}
	return VerdictUnknown
}

func attributesOf(event *abi.NetRXEvent, p *Packet) Attributes {
	bits := Attributes(0)
	if p.Kind == KindTCP {
		bits |= 1 << AttributeTCP
		if p.TCPFlags&(FlagSYN|FlagACK) == FlagSYN {
			bits |= 1 << AttributeSYNOnly
		}
	}
	if p.Kind == KindUDP {
		bits |= 1 << AttributeUDP
	}
	for a := AttributeLong64; a <= AttributeLong1024; a++ {
		if uint32(p.Bytes) > a.Threshold() {
			bits |= 1 << a
		}
	}
	for a := AttributeSeen4; a <= AttributeSeen64; a++ {
		if event.FlowPackets > a.Threshold() {
			bits |= 1 << a
		}
	}
	return bits
}
