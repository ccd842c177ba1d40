// What the converter needs to know of one frame: who sent it to what, and that
// its checksums are right. Virtual cables leave checksums to hardware that
// does not exist, so the capture program computes them with Complete.

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

const (
	ethernetBytes = 14
	ipv4BytesMin  = 20
	tcpBytesMin   = 20
	udpBytes      = 8
	icmpBytesMin  = 8
	etherTypeIPv4 = 0x0800

	ProtocolICMP = 1
	ProtocolTCP  = 6
	ProtocolUDP  = 17

	icmpEchoRequest = 8
)

// errNotIPv4 marks frames that a capture meets and a trace never holds.
var errNotIPv4 = errors.New("not IPv4")

// Header is what tells flows apart.
type Header struct {
	Source, Destination         netip.Addr
	Protocol                    uint8
	SourcePort, DestinationPort uint16 // ICMP: identifier, type
}

// layout is where the parts of a frame lie.
type layout struct {
	header     Header
	ip         []byte // IPv4 header with options
	segment    []byte // transport header and payload, without Ethernet padding
	checksumAt int    // in segment
}

// ParseHeader reads an unfragmented IPv4 frame of TCP, UDP or ICMP.
func ParseHeader(frame []byte) (Header, error) {
	parts, err := parseFrame(frame)
	return parts.header, err
}

func parseFrame(frame []byte) (layout, error) {
	if len(frame) < ethernetBytes {
		return layout{}, fmt.Errorf("frame of %d bytes is no Ethernet frame", len(frame))
	}
	if binary.BigEndian.Uint16(frame[12:]) != etherTypeIPv4 {
		return layout{}, errNotIPv4
	}
	packet := frame[ethernetBytes:]
	if len(packet) < ipv4BytesMin || packet[0]>>4 != 4 {
		return layout{}, fmt.Errorf("no IPv4 header in %d bytes", len(packet))
	}
	headerBytes, totalBytes := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if headerBytes < ipv4BytesMin || totalBytes < headerBytes || totalBytes > len(packet) {
		return layout{}, fmt.Errorf("IPv4 lengths disagree: header %d, total %d, frame %d", headerBytes, totalBytes, len(packet))
	}
	if binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 {
		return layout{}, errors.New("an IPv4 fragment")
	}
	parts := layout{ip: packet[:headerBytes], segment: packet[headerBytes:totalBytes]}
	parts.header.Source = netip.AddrFrom4([4]byte(packet[12:16]))
	parts.header.Destination = netip.AddrFrom4([4]byte(packet[16:20]))
	parts.header.Protocol = packet[9]
	return parts, parts.parseTransport()
}

func (l *layout) parseTransport() error {
	minimum := map[uint8]int{ProtocolTCP: tcpBytesMin, ProtocolUDP: udpBytes, ProtocolICMP: icmpBytesMin}[l.header.Protocol]
	if minimum == 0 {
		return fmt.Errorf("IP protocol %d is neither TCP, UDP nor ICMP", l.header.Protocol)
	}
	if len(l.segment) < minimum {
		return fmt.Errorf("protocol %d has %d of at least %d bytes", l.header.Protocol, len(l.segment), minimum)
	}
	switch l.header.Protocol {
	case ProtocolICMP:
		l.checksumAt = 2
		l.header.SourcePort = binary.BigEndian.Uint16(l.segment[4:])
		l.header.DestinationPort = uint16(l.segment[0])
		return nil
	case ProtocolUDP:
		l.checksumAt = 6
		if got := int(binary.BigEndian.Uint16(l.segment[4:])); got != len(l.segment) {
			return fmt.Errorf("UDP length %d in a segment of %d bytes", got, len(l.segment))
		}
	case ProtocolTCP:
		l.checksumAt = 16
		if header := int(l.segment[12]>>4) * 4; header < tcpBytesMin || header > len(l.segment) {
			return fmt.Errorf("TCP header of %d bytes in a segment of %d", header, len(l.segment))
		}
	}
	l.header.SourcePort = binary.BigEndian.Uint16(l.segment[0:])
	l.header.DestinationPort = binary.BigEndian.Uint16(l.segment[2:])
	return nil
}

// Complete writes the IPv4 and transport checksums of a frame, in place.
func Complete(frame []byte) error {
	parts, err := parseFrame(frame)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(parts.ip[10:], 0)
	binary.BigEndian.PutUint16(parts.ip[10:], ^fold(sum(parts.ip)))
	field := parts.segment[parts.checksumAt:]
	binary.BigEndian.PutUint16(field, 0)
	value := ^fold(parts.pseudo() + sum(parts.segment))
	if value == 0 && parts.header.Protocol == ProtocolUDP {
		value = 0xffff // RFC 768: zero means "not computed"
	}
	binary.BigEndian.PutUint16(field, value)
	return nil
}

// checksumsRight reports whether a receiver would accept the frame.
func (l *layout) checksumsRight() bool {
	if l.header.Protocol == ProtocolUDP && binary.BigEndian.Uint16(l.segment[l.checksumAt:]) == 0 {
		return fold(sum(l.ip)) == 0xffff
	}
	return fold(sum(l.ip)) == 0xffff && fold(l.pseudo()+sum(l.segment)) == 0xffff
}

// pseudo is the sum over the addresses, protocol and length that TCP and UDP
// protect as well (RFC 793, RFC 768); ICMP has none.
func (l *layout) pseudo() uint64 {
	if l.header.Protocol == ProtocolICMP {
		return 0
	}
	return sum(l.ip[12:20]) + uint64(l.header.Protocol) + uint64(len(l.segment))
}

func sum(bytes []byte) (total uint64) {
	for ; len(bytes) >= 2; bytes = bytes[2:] {
		total += uint64(binary.BigEndian.Uint16(bytes))
	}
	if len(bytes) == 1 {
		total += uint64(bytes[0]) << 8
	}
	return total
}

func fold(total uint64) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
