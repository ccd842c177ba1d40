package sim

import "github.com/kingly-os/go-kernel/kernel/abi"

// Packet is one packet as the source offers it.
type Packet struct {
	Bytes  []byte
	Family uint8
	Needed bool // the source's label under the current phase; never shown to a program
	Phase  int
}

// Source draws the packets of a job: each phase draws a family by weight, a
// flow of it uniformly, and then that flow's next packet.
type Source struct {
	job    abi.Job
	flows  [abi.TraceFamilyMax][]*flow
	state  uint64
	phase  int
	inside uint32 // packets drawn in this phase
	drawn  uint32
}

type flow struct {
	packets []Packet
	next    int
}

// NewSource indexes the flows of a parsed job.
func NewSource(job abi.Job) *Source {
	s := &Source{job: job, state: job.Header.Seed}
	byNumber := map[uint32]*flow{}
	iterator := job.Packets()
	var header abi.TracePacket
	for {
		bytes, ok := iterator.Next(&header)
		if !ok {
			return s
		}
		one := byNumber[header.Flow]
		if one == nil {
			one = &flow{}
			byNumber[header.Flow] = one
			s.flows[header.Family] = append(s.flows[header.Family], one)
		}
		one.packets = append(one.packets, Packet{Bytes: bytes, Family: header.Family, Needed: header.Label == abi.LabelNeeded})
	}
}

// random is splitmix64.
func (s *Source) random() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Next draws a packet, or false after the job's last one.
func (s *Source) Next() (Packet, bool) {
	if s.drawn == s.job.Header.PacketCount || s.job.Phases() == 0 {
		return Packet{}, false
	}
	for s.inside >= s.job.Phase(s.phase).PacketCount {
		if s.phase+1 == s.job.Phases() {
			s.phase, s.inside = 0, 0
			if s.job.Phase(0).PacketCount == 0 {
				return Packet{}, false
			}
			break
		}
		s.phase, s.inside = s.phase+1, 0
	}
	family, ok := s.family(s.job.Phase(s.phase))
	if !ok {
		return Packet{}, false
	}
	flows := s.flows[family]
	one := flows[s.random()%uint64(len(flows))]
	packet := one.packets[one.next]
	one.next = (one.next + 1) % len(one.packets)
	packet.Phase = s.phase
	packet.Needed = packet.Needed && s.job.Phase(s.phase).NeededMask>>family&1 == 1
	s.inside++
	s.drawn++
	return packet, true
}

// family draws among those that have weight and flows.
func (s *Source) family(phase abi.Phase) (int, bool) {
	total := uint64(0)
	for f, weight := range phase.Weights {
		if len(s.flows[f]) > 0 {
			total += uint64(weight)
		}
	}
	if total == 0 {
		return 0, false
	}
	point := s.random() % total
	for f, weight := range phase.Weights {
		if len(s.flows[f]) == 0 {
			continue
		}
		if point < uint64(weight) {
			return f, true
		}
		point -= uint64(weight)
	}
	return 0, false
}

// Wanted says what the kernel's own loss signal would: a consumer of this
// phase takes the packet. It knows nothing of labels.
func Wanted(job abi.Job, packet Packet) bool {
	protocol, port, ok := destination(packet.Bytes)
	if !ok {
		return false
	}
	for i := range job.Listens() {
		listen := job.Listen(i)
		if listen.Protocol == protocol && (protocol == protocolICMP || listen.Port == port) &&
			listen.PhaseMask>>packet.Phase&1 == 1 {
			return true
		}
	}
	return false
}

const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// destination reads protocol and destination port of an IPv4 frame.
func destination(frame []byte) (protocol uint8, port uint16, ok bool) {
	if len(frame) < 14+20 || frame[12] != 0x08 || frame[13] != 0 || frame[14]>>4 != 4 {
		return 0, 0, false
	}
	transport := 14 + int(frame[14]&15)*4
	protocol = frame[23]
	switch protocol {
	case protocolICMP:
		return protocol, 0, len(frame) > transport && frame[transport] == 8 // echo request
	case protocolTCP, protocolUDP:
		if len(frame) < transport+4 {
			return 0, 0, false
		}
		return protocol, uint16(frame[transport+2])<<8 | uint16(frame[transport+3]), true
	}
	return protocol, 0, false
}
