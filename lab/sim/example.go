package sim

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
)

// ExampleWorkload is traffic for tests: DNS and HTTP somebody listens for, a
// scan and stray datagrams nobody does, and a flood at a served port that only
// the label calls junk.
func ExampleWorkload(seed uint64, packets uint32) experiment.Workload {
	var trace traceBuilder
	for client := byte(10); client < 16; client++ {
		trace.flow(abi.FamilyDNS, abi.LabelNeeded, frame(protocolUDP, client, 4000, 53, 40), frame(protocolUDP, client, 4000, 53, 52))
		trace.flow(abi.FamilyHTTP, abi.LabelNeeded, frame(protocolTCP, client, 5000, 80, 0), frame(protocolTCP, client, 5000, 80, 400))
		trace.flow(abi.FamilyPing, abi.LabelNeeded, frame(protocolICMP, client, 0, 0, 56))
		trace.flow(abi.FamilyUDPJunk, abi.LabelJunk, frame(protocolUDP, client, 6000, 1900, 90), frame(protocolUDP, client, 6000, 5353, 60))
	}
	for port := uint16(20); port < 120; port++ {
		trace.flow(abi.FamilyScan, abi.LabelJunk, frame(protocolTCP, 99, 7000, port, 0))
	}
	trace.flow(abi.FamilyAbuse, abi.LabelJunk, frame(protocolUDP, 77, 8000, 53, 40))
	phase := abi.Phase{PacketCount: packets, NeededMask: 0xffff}
	for family, weight := range map[int]uint16{abi.FamilyDNS: 10, abi.FamilyHTTP: 10, abi.FamilyPing: 3,
		abi.FamilyUDPJunk: 15, abi.FamilyScan: 40, abi.FamilyAbuse: 5} {
		phase.Weights[family] = weight
	}
	return experiment.Workload{Name: "example", Trace: trace.encode(), Seed: seed, PacketCount: packets,
		Phases: []abi.Phase{phase},
		Listens: []abi.Listen{{Protocol: protocolUDP, Port: 53, PhaseMask: 1}, {Protocol: protocolTCP, Port: 80, PhaseMask: 1},
			{Protocol: protocolICMP, PhaseMask: 1}}}
}

type traceBuilder struct {
	records []byte
	packets uint32
	flows   uint32
}

func (t *traceBuilder) flow(family, label uint8, frames ...[]byte) {
	for _, bytes := range frames {
		record := make([]byte, (abi.TracePacketBytes+len(bytes)+7)&^7)
		header := abi.TracePacket{Bytes: uint16(len(bytes)), Label: label, Family: family, Flow: t.flows}
		header.Put(record)
		copy(record[abi.TracePacketBytes:], bytes)
		t.records = append(t.records, record...)
		t.packets++
	}
	t.flows++
}

func (t *traceBuilder) encode() []byte {
	out := make([]byte, abi.TraceHeaderBytes)
	header := abi.TraceHeader{Magic: abi.TraceMagic, PacketCount: t.packets, FlowCount: t.flows}
	header.Put(out)
	return append(out, t.records...)
}

// frame makes an Ethernet/IPv4 frame from 10.0.0.source; checksums stay zero,
// as no simulated guest looks at them.
func frame(protocol, source uint8, sourcePort, destinationPort uint16, payload int) []byte {
	transport := map[uint8]int{protocolUDP: 8, protocolTCP: 20, protocolICMP: 8}[protocol]
	out := make([]byte, 14+20+transport+payload)
	out[12], out[13] = 0x08, 0x00
	out[14] = 0x45
	binary.BigEndian.PutUint16(out[16:], uint16(len(out)-14))
	out[22], out[23] = 64, protocol
	copy(out[26:], []byte{10, 0, 0, source, 10, 0, 0, 1})
	if protocol == protocolICMP {
		out[34] = 8
		return out
	}
	binary.BigEndian.PutUint16(out[34:], sourcePort)
	binary.BigEndian.PutUint16(out[36:], destinationPort)
	if protocol == protocolTCP {
		out[46], out[47] = 5<<4, 0x02 // SYN
		if payload > 0 {
			out[47] = 0x18 // PSH, ACK
		}
	}
	return out
}
