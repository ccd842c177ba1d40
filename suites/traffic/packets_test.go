package traffic

import (
	"encoding/binary"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Packets as bytes: made here and judged here, so that neither the kernel's
// parser nor the lab's stands on both sides of a spec.

const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17

	ethernetBytes = 14
	ipBytes       = 20
	headersBytes  = ethernetBytes + ipBytes

	clientPort = 40000
	closedPort = 9999

	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

var (
	guestHardware  = []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	clientHardware = []byte{0x02, 0, 0, 0, 0, 0x0b}
	guestAddress   = []byte{10, 77, 0, 1}
	clientAddress  = []byte{10, 77, 0, 11}
)

// checksum of RFC 1071, by its definition: over 16-bit words, bytes in pairs.
func checksum(parts ...[]byte) uint16 {
	var total uint32
	for _, part := range parts {
		for at := 0; at < len(part); at += 2 {
			word := uint32(part[at]) << 8
			if at+1 < len(part) {
				word |= uint32(part[at+1])
			}
			total += word
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

func pseudoHeader(source, destination []byte, protocol byte, length int) []byte {
	pseudo := append(append([]byte{}, source...), destination...)
	return binary.BigEndian.AppendUint16(append(pseudo, 0, protocol), uint16(length))
}

// frame puts a transport segment, its checksum made, behind both headers.
func frame(protocol byte, segment []byte) []byte {
	at := map[byte]int{protocolICMP: 2, protocolTCP: 16, protocolUDP: 6}[protocol]
	parts := [][]byte{segment}
	if protocol != protocolICMP {
		parts = append(parts, pseudoHeader(clientAddress, guestAddress, protocol, len(segment)))
	}
	binary.BigEndian.PutUint16(segment[at:], checksum(parts...))
	ip := []byte{0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol, 0, 0}
	ip = append(append(ip, clientAddress...), guestAddress...)
	binary.BigEndian.PutUint16(ip[2:], uint16(ipBytes+len(segment)))
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	out := append(append(append([]byte{}, guestHardware...), clientHardware...), 8, 0)
	return append(append(out, ip...), segment...)
}

func udp(port uint16, payload []byte) []byte {
	segment := binary.BigEndian.AppendUint16(nil, clientPort)
	segment = binary.BigEndian.AppendUint16(segment, port)
	segment = binary.BigEndian.AppendUint16(segment, uint16(8+len(payload)))
	return frame(protocolUDP, append(append(segment, 0, 0), payload...))
}

func synTo(port uint16, sequence uint32) []byte {
	segment := binary.BigEndian.AppendUint16(nil, clientPort)
	segment = binary.BigEndian.AppendUint16(segment, port)
	segment = binary.BigEndian.AppendUint32(segment, sequence)
	return frame(protocolTCP, append(segment, 0, 0, 0, 0, 0x50, flagSYN, 0x20, 0, 0, 0, 0, 0))
}

func echoRequest(identifier, sequence uint16, payload []byte) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{8, 0, 0, 0}, identifier)
	segment = binary.BigEndian.AppendUint16(segment, sequence)
	return frame(protocolICMP, append(segment, payload...))
}

// expectReply checks the Ethernet and IPv4 headers and every checksum of an
// answer to the client, and returns the transport segment.
func expectReply(reply []byte, protocol byte) (segment []byte) {
	GinkgoHelper()
	Expect(len(reply)).To(BeNumerically(">=", headersBytes), "%x", reply)
	Expect(reply[0:6]).To(Equal(clientHardware))
	Expect(reply[6:12]).To(Equal(guestHardware))
	ip := reply[ethernetBytes:headersBytes]
	Expect(reply[12:14]).To(Equal([]byte{8, 0}))
	Expect(ip[0]).To(BeEquivalentTo(0x45))
	Expect(checksum(ip)).To(BeZero(), "IPv4 header %x", ip)
	Expect(ip[9]).To(Equal(protocol))
	Expect(ip[12:16]).To(Equal(guestAddress))
	Expect(ip[16:20]).To(Equal(clientAddress))
	Expect(binary.BigEndian.Uint16(ip[2:])).To(BeEquivalentTo(len(reply) - ethernetBytes))
	segment = reply[headersBytes:]
	if protocol == protocolICMP {
		Expect(checksum(segment)).To(BeZero(), "ICMP %x", segment)
	} else {
		Expect(checksum(segment, pseudoHeader(guestAddress, clientAddress, protocol, len(segment)))).To(BeZero(), "segment %x", segment)
	}
	return segment
}
