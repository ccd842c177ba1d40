package propose

import (
	"encoding/binary"
	"fmt"
)

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
}

// Rehearse counts what a filter drops in the window.
func (w *Window) Rehearse(n *Node) Rehearsal {
	var r Rehearsal
	for i := range w.Packets {
		dropped, steps := n.drops(&w.Packets[i])
		r.Steps += steps
		switch {
		case dropped && w.Packets[i].Wanted:
			r.WantedLost++
		case dropped:
			r.Dropped++
		}
	}
	return r
}

// Costs are what the search believes things cost, in machine instructions. They
// order candidates; the fleet measures them.
type Costs struct {
	Unwanted float64 // the default path for a packet nobody wants
	Step     float64 // one instruction in the interpreter
	Call     float64 // running a program at all; the same for every candidate
}

func (c Costs) String() string {
	return fmt.Sprintf("an unwanted packet %.0f, running a program %.0f, one of its instructions %.1f", c.Unwanted, c.Call, c.Step)
}

// DefaultCosts were measured on the kernel of 2026-11-22.
var DefaultCosts = Costs{Unwanted: 480, Step: 12, Call: 120}

// In instructions: losing one wanted packet is worth this many unwanted ones in
// the eyes of the search. Filters that lose are never submitted; among
// themselves they are ranked so that bold ones live long enough to be repaired.
const lossFactor = 4

// costNode per packet: of equals, the smaller.
const costNode = 1

// score is what a filter saves per packet, in instructions.
func (w *Window) score(n *Node, r Rehearsal) float64 {
	saved := w.Costs.Unwanted*(float64(r.Dropped)-lossFactor*float64(r.WantedLost)) - w.Costs.Step*float64(r.Steps)
	return saved/float64(max(len(w.Packets), 1)) - float64(costNode*n.size())
}
