// From packets to the trace that the kernel's source replays: each packet gets
// a family and a label by rule, each flow a number.

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Labelled is one packet of a trace.
type Labelled struct {
	Flow   uint32
	Family uint8
	Label  uint8
	Bytes  []byte
}

// Trace is a labelled capture.
type Trace struct {
	Packets []Labelled
	Flows   uint32
	Skipped int // packets of the capture that belong to no family (replies to our own ICMP errors)
}

const (
	traceHeaderBytes = 16
	tracePacketBytes = 8
)

// Convert labels each packet. A packet that a receiver would refuse, or that
// does not go to Served, is an error: the capture is then not what it claims.
func Convert(packets []Packet) (*Trace, error) {
	trace := &Trace{}
	flows := map[Header]uint32{}
	for index, packet := range packets {
		parts, err := parseFrame(packet.Bytes)
		switch {
		case err != nil:
			return nil, fmt.Errorf("packet %d: %w", index, err)
		case parts.header.Destination != Served:
			return nil, fmt.Errorf("packet %d: sent to %s, not to %s", index, parts.header.Destination, Served)
		case !parts.checksumsRight():
			return nil, fmt.Errorf("packet %d: wrong checksum", index)
		}
		family, label, known := classify(parts.header)
		if !known {
			trace.Skipped++
			continue
		}
		flow, seen := flows[parts.header]
		if !seen {
			flow = trace.Flows
			flows[parts.header] = flow
			trace.Flows++
		}
		trace.Packets = append(trace.Packets, Labelled{Flow: flow, Family: family, Label: label, Bytes: packet.Bytes})
	}
	if len(trace.Packets) == 0 {
		return nil, errors.New("a capture without a packet of any family")
	}
	return trace, nil
}

// classify is the rule: what an address does outside its role is needed, what
// it does in its role is junk. First match wins.
func classify(h Header) (family, label uint8, known bool) {
	if h.Protocol == ProtocolTCP && slices.Contains(Scanners, h.Source) {
		return abi.FamilyScan, abi.LabelJunk, true
	}
	for _, abuser := range Abusers {
		if abuser.Source == h.Source && abuser.Protocol == h.Protocol && (abuser.Port == 0 || abuser.Port == h.DestinationPort) {
			return abi.FamilyAbuse, abi.LabelJunk, true
		}
	}
	switch h.Protocol {
	case ProtocolUDP:
		switch h.DestinationPort {
		case PortDNS:
			return abi.FamilyDNS, abi.LabelNeeded, true
		case PortLate:
			return FamilyLate, abi.LabelNeeded, true
		}
		return abi.FamilyUDPJunk, abi.LabelJunk, true
	case ProtocolTCP:
		switch h.DestinationPort {
		case PortHTTP, PortHTTPAlt:
			return abi.FamilyHTTP, abi.LabelNeeded, true
		case PortTLS:
			return abi.FamilyTLS, abi.LabelNeeded, true
		}
	case ProtocolICMP:
		if h.DestinationPort == icmpEchoRequest {
			return abi.FamilyPing, abi.LabelNeeded, true
		}
	}
	return 0, 0, false
}

// Encode writes the trace in the form of abi.TraceHeader.
func (t *Trace) Encode() []byte {
	out := make([]byte, 0, traceHeaderBytes+len(t.Packets)*128)
	out = binary.LittleEndian.AppendUint32(out, abi.TraceMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(t.Packets)))
	out = binary.LittleEndian.AppendUint32(out, t.Flows)
	out = binary.LittleEndian.AppendUint32(out, 0)
	for _, packet := range t.Packets {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(packet.Bytes)))
		out = append(out, packet.Label, packet.Family)
		out = binary.LittleEndian.AppendUint32(out, packet.Flow)
		out = append(out, packet.Bytes...)
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// DecodeTrace is the inverse of Encode, for bytes from outside.
func DecodeTrace(data []byte) (*Trace, error) {
	if len(data) < traceHeaderBytes {
		return nil, formatError(len(data), abi.ErrTruncated, "trace header ends after %d of %d bytes", len(data), traceHeaderBytes)
	}
	if magic := binary.LittleEndian.Uint32(data); magic != abi.TraceMagic {
		return nil, formatError(0, abi.ErrMagic, "magic %#08x is not a trace's", magic)
	}
	count, flows := binary.LittleEndian.Uint32(data[4:]), binary.LittleEndian.Uint32(data[8:])
	if count == 0 || count > abi.TracePacketsMax {
		return nil, formatError(4, abi.ErrTooLarge, "%d packets, 1 to %d", count, abi.TracePacketsMax)
	}
	if flows == 0 || flows > count {
		return nil, formatError(8, abi.ErrBadValue, "%d flows of %d packets", flows, count)
	}
	trace := &Trace{Flows: flows}
	at := traceHeaderBytes
	for range count {
		if len(data)-at < tracePacketBytes {
			return nil, formatError(at, abi.ErrTruncated, "packet header ends after %d of %d bytes", len(data)-at, tracePacketBytes)
		}
		bytes := int(binary.LittleEndian.Uint16(data[at:]))
		one := Labelled{Label: data[at+2], Family: data[at+3], Flow: binary.LittleEndian.Uint32(data[at+4:])}
		padded := (bytes + 7) &^ 7
		switch {
		case bytes == 0 || bytes > abi.PacketBytesMax:
			return nil, formatError(at, abi.ErrTooLarge, "packet of %d bytes, 1 to %d", bytes, abi.PacketBytesMax)
		case one.Label > abi.LabelNeeded || one.Family >= abi.TraceFamilyMax:
			return nil, formatError(at+2, abi.ErrBadValue, "label %d, family %d", one.Label, one.Family)
		case one.Flow >= flows:
			return nil, formatError(at+4, abi.ErrBadValue, "flow %d of %d", one.Flow, flows)
		case padded > len(data)-at-tracePacketBytes:
			return nil, formatError(at+tracePacketBytes, abi.ErrTruncated, "packet ends after %d of %d bytes", len(data)-at-tracePacketBytes, padded)
		}
		from := at + tracePacketBytes
		one.Bytes = data[from : from+bytes : from+bytes]
		trace.Packets = append(trace.Packets, one)
		at = from + padded
	}
	if at != len(data) {
		return nil, formatError(at, abi.ErrBadLength, "%d bytes after the last packet", len(data)-at)
	}
	return trace, nil
}
