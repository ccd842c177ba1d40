package propose

import "encoding/binary"

// drops evaluates the filter on a packet, as its program would: the slow twin
// of Print, held against it in the tests.
func (n *Node) drops(packet *Seen) bool {
	b := packet.Bytes
	if len(b) < bytesPorts || b[offsetEtherType] != 8 || b[offsetEtherType+1] != 0 || b[offsetVersion] != 0x45 ||
		binary.BigEndian.Uint16(b[offsetFragment:])&0x3fff != 0 {
		return false
	}
	for n.Test != nil {
		holds, ok := n.Test.holds(packet)
		if !ok {
			return false
		}
		if holds {
			n = n.Then
		} else {
			n = n.Else
		}
	}
	return n.Drop
}

// holds asks the test; not ok means that the program would pass the packet
// because it is too short to be asked.
func (t *Test) holds(packet *Seen) (holds, ok bool) {
	b := packet.Bytes
	var value uint32
	switch t.Field {
	case FieldProtocol:
		value = uint32(b[offsetProtocol])
	case FieldDestinationPort:
		value = uint32(binary.BigEndian.Uint16(b[offsetDestinationPort:]))
	case FieldSourcePort:
		value = uint32(binary.BigEndian.Uint16(b[offsetSourcePort:]))
	case FieldSource:
		value = binary.BigEndian.Uint32(b[offsetSource:])
	case FieldTCPFlags:
		if len(b) < bytesTCPFlags {
			return false, false
		}
		value = uint32(b[offsetTCPFlags])
	case FieldLength:
		value = uint32(binary.BigEndian.Uint16(b[offsetLength:]))
	case FieldFlowPackets:
		value = packet.FlowPackets
	case FieldFirstByte:
		value = uint32(b[0])
	}
	switch t.Operator {
	case Equal:
		return value == t.Value, true
	case Above:
		return value > t.Value, true
	}
	return value&t.Value != 0, true
}

// Rehearsal is what a filter would have done on the window.
type Rehearsal struct {
	Dropped    int // unwanted packets dropped: the gain
	WantedLost int // wanted packets dropped: the loss
	behaviour  uint64
}

// Rehearse counts what a filter drops in the window.
func (w *Window) Rehearse(n *Node) Rehearsal {
	var r Rehearsal
	for i := range w.Packets {
		dropped := n.drops(&w.Packets[i])
		if dropped && w.Packets[i].Wanted {
			r.WantedLost++
		} else if dropped {
			r.Dropped++
		}
		bit := uint64(0)
		if dropped {
			bit = 1
		}
		r.behaviour = (r.behaviour ^ bit) * 0x100000001b3 // FNV-1a, one step a packet
	}
	return r
}

// score orders filters: lossless before lossy, then more saved, then smaller.
// One node is charged like 1/500 of the window's packets, about what asking
// one more question costs against the default path.
func (w *Window) score(n *Node, r Rehearsal) float64 {
	const lossFactor = 20 // one wanted packet lost is worse than this many saved
	packets := float64(max(len(w.Packets), 1))
	return (float64(r.Dropped)-lossFactor*float64(r.WantedLost))/packets - float64(n.size())/500
}
