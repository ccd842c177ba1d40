package sim

import (
	"encoding/binary"
	"math/rand/v2"
)

// Packet describes a frame to build.
type Packet struct {
	Protocol        uint8
	Source          uint32
	SourcePort      uint16
	DestinationPort uint16
	Flags           uint8 // TCP
	Payload         int
	Options         bool // an IPv4 header with options
	Fragment        bool // a later fragment: ports are payload
	BadChecksum     bool
}

const hostAddress = 0x0a000001 // 10.0.0.1, ours

// Frame builds an Ethernet frame with correct checksums, unless told otherwise.
func (p Packet) Frame() []byte {
	headerBytes := 20
	if p.Options {
		headerBytes = 24
	}
	segment := p.segment()
	frame := make([]byte, 14+headerBytes+len(segment))
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := frame[14:]
	ip[0] = 0x40 | byte(headerBytes/4)
	binary.BigEndian.PutUint16(ip[2:], uint16(headerBytes+len(segment)))
	if p.Fragment {
		binary.BigEndian.PutUint16(ip[6:], 0x00b9)
	}
	ip[8], ip[9] = 64, p.Protocol
	binary.BigEndian.PutUint32(ip[12:], p.Source)
	binary.BigEndian.PutUint32(ip[16:], hostAddress)
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum(ip[:headerBytes], 0)))
	copy(ip[headerBytes:], segment)
	if p.BadChecksum {
		ip[10] ^= 0x55
	}
	return frame
}

func (p Packet) segment() []byte {
	headerBytes := map[uint8]int{1: 8, 6: 20, 17: 8}[p.Protocol]
	segment := make([]byte, headerBytes+p.Payload)
	for i := headerBytes; i < len(segment); i++ {
		segment[i] = byte(i * 7)
	}
	pseudo, at := uint32(0), 2
	if p.Protocol != 1 {
		binary.BigEndian.PutUint16(segment[0:], p.SourcePort)
		binary.BigEndian.PutUint16(segment[2:], p.DestinationPort)
		pseudo = uint32(p.Protocol) + uint32(len(segment)) + p.Source>>16 + p.Source&0xffff + hostAddress>>16 + hostAddress&0xffff
	} else {
		segment[0] = 8
	}
	if p.Protocol == 6 {
		segment[12], segment[13], at = 0x50, p.Flags, 16
	}
	if p.Protocol == 17 {
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
		at = 6
	}
	binary.BigEndian.PutUint16(segment[at:], ^uint16(sum(segment, pseudo)))
	return segment
}

// Mix is a distribution of packets: Weights[i] of Makers[i].
type Mix []Share

// Maker draws one packet.
type Maker func(*rand.Rand) Packet

// Share is one kind of traffic and how often it comes.
type Share struct {
	Weight int
	Make   Maker
}

func (m Mix) draw(random *rand.Rand) Packet {
	total := 0
	for _, s := range m {
		total += s.Weight
	}
	at := random.IntN(total)
	for _, s := range m {
		if at -= s.Weight; at < 0 {
			return s.Make(random)
		}
	}
	panic("unreachable: weights sum to total")
}

const (
	syn = 0x02
	ack = 0x10
)

// client picks one of 200 ordinary sources.
func client(random *rand.Rand) uint32 { return 0x0a010000 + uint32(random.IntN(200)) }

// Service is traffic for a served TCP port: some SYNs, mostly data.
func Service(port uint16) Maker {
	return func(random *rand.Rand) Packet {
		p := Packet{Protocol: 6, Source: client(random), SourcePort: uint16(32768 + random.IntN(20000)), DestinationPort: port, Flags: ack}
		if random.IntN(8) == 0 {
			p.Flags = syn
			return p
		}
		p.Payload = random.IntN(1200)
		return p
	}
}

// Datagrams is traffic to a UDP port from ordinary clients.
func Datagrams(port uint16) Maker {
	return func(random *rand.Rand) Packet {
		return Packet{Protocol: 17, Source: client(random), SourcePort: uint16(32768 + random.IntN(20000)), DestinationPort: port, Payload: 20 + random.IntN(200)}
	}
}

// Ping is an echo request.
func Ping(random *rand.Rand) Packet {
	return Packet{Protocol: 1, Source: client(random), Payload: 56}
}

// Scan sends SYN to random ports from a handful of sources; served ports are
// among them.
func Scan(random *rand.Rand) Packet {
	return Packet{Protocol: 6, Source: 0xc6336400 + uint32(random.IntN(3)), SourcePort: uint16(40000 + random.IntN(10)),
		DestinationPort: uint16(1 + random.IntN(2000)), Flags: syn}
}

// Flood sends SYN to a served port from many sources.
func Flood(port uint16) Maker {
	return func(random *rand.Rand) Packet {
		return Packet{Protocol: 6, Source: 0xcb007100 + uint32(random.IntN(256)), SourcePort: uint16(random.IntN(65536)),
			DestinationPort: port, Flags: syn}
	}
}

// Odd is what no program may touch: options, fragments, other EtherTypes come
// from here, and broken headers.
func Odd(random *rand.Rand) Packet {
	p := Packet{Protocol: 17, Source: client(random), SourcePort: 7, DestinationPort: uint16(random.IntN(65536)), Payload: 40}
	switch random.IntN(3) {
	case 0:
		p.Options = true
	case 1:
		p.Fragment = true
	default:
		p.BadChecksum = true
	}
	return p
}
