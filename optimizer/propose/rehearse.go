package propose

import "encoding/binary"

// drops evaluates the filter on a packet as its program would, and counts the
// instructions that takes: the slow twin of Print, held against it in the tests
// of optimizer/loop.
func (n *Node) drops(packet *Seen) (drop bool, steps int) {
	b := packet.Bytes
	if len(b) < bytesPorts {
		return false, stepsBefore + stepsPass
	}
	steps = stepsBefore
	in, jumped := nothingHeld, true
	for n.Test != nil {
		holds, ok := n.Test.holds(packet)
		steps += n.Test.steps(in)
		in = n.Test.holdsIn()
		if !ok {
			return false, steps + stepsPass
		}
		if jumped = holds; holds {
			n = n.Then
		} else {
			n = n.Else
		}
	}
	if !jumped || in == nothingHeld {
		steps++ // an else leaf is a jump of its own
	}
	if !n.Drop {
		return false, steps + stepsPass
	}
	plain := binary.LittleEndian.Uint32(b[offsetEtherType:]) == plainIPv4 &&
		binary.BigEndian.Uint16(b[offsetFragment:])&0x3fff == 0
	return plain, steps + stepsDrop
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
	Steps      int // instructions of the program over all packets
	behaviour  uint64
}

// Rehearse counts what a filter drops in the window.
func (w *Window) Rehearse(n *Node) Rehearsal {
	var r Rehearsal
	for i := range w.Packets {
		dropped, steps := n.drops(&w.Packets[i])
		r.Steps += steps
		bit := uint64(0)
		switch {
		case dropped && w.Packets[i].Wanted:
			r.WantedLost++
			bit = 1
		case dropped:
			r.Dropped++
			bit = 1
		}
		r.behaviour = (r.behaviour ^ bit) * 0x100000001b3 // FNV-1a, one step a packet
	}
	return r
}

// What the search believes things cost, in machine instructions; measured on
// the kernel of 2026-11-22. They order candidates, the fleet measures them.
const (
	costUnwanted = 470   // the default path for a packet nobody wants
	costStep     = 12    // one instruction in the interpreter
	costLoss     = 20000 // a wanted packet: worth more than many saved ones
	costNode     = 1     // per packet: of equals, the smaller
)

// score is what a filter saves per packet, in instructions.
func (w *Window) score(n *Node, r Rehearsal) float64 {
	saved := costUnwanted*r.Dropped - costLoss*r.WantedLost - costStep*r.Steps
	return float64(saved)/float64(max(len(w.Packets), 1)) - float64(costNode*n.size())
}
