package propose

import (
	"encoding/binary"
	"sort"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/sim"
)

// Seen is one packet of the training window, with what the kernel itself
// learns about it: whether a consumer took it.
type Seen struct {
	Bytes       []byte
	FlowPackets uint32
	Wanted      bool
}

// Window is unlabelled traffic and the values that occur in it, most frequent
// first: mutations draw constants from what was seen.
type Window struct {
	Packets []Seen
	Costs   Costs
	values  [fieldCount][]uint32
}

// flowWindowPackets is after how many packets the kernel forgets how many it saw
// from a source (core/hook/hook.h).
const flowWindowPackets = 1024

// WindowOf draws the packets of a job on the host and keeps what the kernel
// would learn about each.
func WindowOf(job abi.Job) *Window {
	source := sim.NewSource(job)
	fromSource := map[uint32]uint32{}
	var packets []Seen
	for packet, ok := source.Next(); ok; packet, ok = source.Next() {
		if len(packets)%flowWindowPackets == 0 {
			clear(fromSource)
		}
		seen := Seen{Bytes: packet.Bytes, Wanted: sim.Wanted(job, packet)}
		if address, ok := read(FieldSource, &seen); ok {
			fromSource[address]++
			seen.FlowPackets = fromSource[address]
		}
		packets = append(packets, seen)
	}
	return NewWindow(packets)
}

// valuesMax bounds how many values of a field are remembered.
const valuesMax = 32

// NewWindow indexes packets.
func NewWindow(packets []Seen) *Window {
	w := &Window{Packets: packets, Costs: DefaultCosts}
	for field := range fieldCount {
		count := map[uint32]int{}
		for i := range packets {
			if value, ok := read(field, &packets[i]); ok {
				count[value]++
			}
		}
		for value := range count {
			w.values[field] = append(w.values[field], value)
		}
		sort.Slice(w.values[field], func(i, j int) bool {
			a, b := w.values[field][i], w.values[field][j]
			if count[a] != count[b] {
				return count[a] > count[b]
			}
			return a < b
		})
		w.values[field] = w.values[field][:min(len(w.values[field]), valuesMax)]
	}
	return w
}

// Commonest is the most frequent value of a field.
func (w *Window) Commonest(field Field) uint32 {
	if len(w.values[field]) == 0 {
		return 0
	}
	return w.values[field][0]
}

// read is a field of a packet as the printed program reads it.
func read(field Field, packet *Seen) (uint32, bool) {
	b := packet.Bytes
	if field == FieldFirstByte && len(b) > 0 {
		return uint32(b[0]), true
	}
	if len(b) < bytesPorts || binary.LittleEndian.Uint32(b[offsetEtherType:]) != plainIPv4 {
		return 0, false
	}
	transport := b[offsetProtocol] == protocolTCP || b[offsetProtocol] == protocolUDP
	switch field {
	case FieldProtocol:
		return uint32(b[offsetProtocol]), true
	case FieldDestinationPort:
		return uint32(binary.BigEndian.Uint16(b[offsetDestinationPort:])), transport
	case FieldSourcePort:
		return uint32(binary.BigEndian.Uint16(b[offsetSourcePort:])), transport
	case FieldSource:
		return binary.BigEndian.Uint32(b[offsetSource:]), true
	case FieldTCPFlags:
		if b[offsetProtocol] != protocolTCP || len(b) < bytesTCPFlags {
			return 0, false
		}
		return uint32(b[offsetTCPFlags]), true
	case FieldLength:
		return uint32(binary.BigEndian.Uint16(b[offsetLength:])), true
	case FieldFlowPackets:
		return packet.FlowPackets, true
	}
	return 0, false
}

const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)
