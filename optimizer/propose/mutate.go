package propose

import "math/rand/v2"

// Seeds are the filters a search starts from: none is good, each knows one
// thing that administrators tend to know.
func Seeds(w *Window) map[string]*Node {
	return map[string]*Node{
		// Datagrams to high ports are seldom served.
		"high-datagrams": ask(FieldProtocol, Equal, protocolUDP,
			ask(FieldDestinationPort, Above, 1023, drop(), pass()), pass()),
		// A first segment without data, from a source that sent many packets.
		"busy-knocking": ask(FieldProtocol, Equal, protocolTCP,
			ask(FieldTCPFlags, Equal, 0x02, ask(FieldFlowPackets, Above, 64, drop(), pass()), pass()), pass()),
		// TCP to any but the commonest port.
		"commonest-service": ask(FieldProtocol, Equal, protocolTCP,
			ask(FieldDestinationPort, Equal, w.Commonest(FieldDestinationPort), pass(), drop()), pass()),
		// The noisiest source.
		"noisy-neighbour": ask(FieldSource, Equal, w.Commonest(FieldSource), drop(), pass()),
	}
}

// seedNames fixes the order of Seeds.
var seedNames = []string{"busy-knocking", "commonest-service", "high-datagrams", "noisy-neighbour"}

// Cheats are planted in every campaign: each is cheap, each loses what is
// needed, and the judge must say so.
func Cheats(w *Window) map[string]*Node {
	return map[string]*Node{
		"drop-all":               drop(),
		"drop-all-but-commonest": ask(FieldDestinationPort, Equal, w.Commonest(FieldDestinationPort), pass(), drop()),
		"drop-by-first-byte":     ask(FieldFirstByte, Equal, w.Commonest(FieldFirstByte), drop(), pass()),
	}
}

// CheatNames fixes the order of Cheats.
var CheatNames = []string{"drop-all", "drop-all-but-commonest", "drop-by-first-byte"}

// Mutator changes filters at random. All its choices come from one seed.
type Mutator struct {
	random *rand.Rand
	window *Window
}

// NewMutator seeds a mutator.
func NewMutator(seed uint64, w *Window) *Mutator {
	return &Mutator{random: rand.New(rand.NewPCG(seed, 0x6d757461746f72)), window: w}
}

// Mutate returns a changed copy within the bounds of a filter; mate lends
// branches. When every try leaves the bounds, the filter comes back as it was.
func (m *Mutator) Mutate(n, mate *Node) *Node {
	const tries = 8
	for range tries {
		changed := n
		for range 1 + m.random.IntN(3) {
			changed = m.change(changed, m.random.IntN(changed.size()), mate)
		}
		changed = simplify(changed)
		if changed.size() <= nodesMax && changed.depth() <= depthMax {
			return changed
		}
	}
	return n
}

// Learn changes the filter where a packet of the window says it is wrong: a
// wanted packet that it drops gets an exception; where it drops none, an
// unwanted one that it passes gets a rule. When it finds neither, it mutates.
func (m *Mutator) Learn(n, mate *Node) *Node {
	const draws = 48
	for draw := range draws {
		packet := &m.window.Packets[m.random.IntN(len(m.window.Packets))]
		if dropped, _ := n.drops(packet); dropped != packet.Wanted || draw < draws/2 && !packet.Wanted {
			continue // the filter is right about it, or errs where it costs less
		}
		field := []Field{FieldDestinationPort, FieldDestinationPort, FieldProtocol, FieldSource, FieldSourcePort, FieldTCPFlags}[m.random.IntN(6)]
		value, ok := read(field, packet)
		if !ok {
			continue
		}
		changed := simplify(atLeaf(n, packet, func(leaf *Node) *Node {
			return &Node{Test: &Test{Field: field, Value: value}, Then: &Node{Drop: !packet.Wanted}, Else: leaf}
		}))
		if changed.size() <= nodesMax && changed.depth() <= depthMax {
			return changed
		}
	}
	return m.Mutate(n, mate)
}

// atLeaf replaces the leaf that a packet reaches.
func atLeaf(n *Node, packet *Seen, replace func(*Node) *Node) *Node {
	if n.Test == nil {
		return replace(n)
	}
	if holds, _ := n.Test.holds(packet); holds {
		return &Node{Test: n.Test, Then: atLeaf(n.Then, packet, replace), Else: n.Else}
	}
	return &Node{Test: n.Test, Then: n.Then, Else: atLeaf(n.Else, packet, replace)}
}

// change applies one mutation at the node with this number, counted
// depth-first.
func (m *Mutator) change(n *Node, number int, mate *Node) *Node {
	if number == 0 {
		return m.here(n, mate)
	}
	thenSize := n.Then.size()
	if number <= thenSize {
		return &Node{Test: n.Test, Then: m.change(n.Then, number-1, mate), Else: n.Else}
	}
	return &Node{Test: n.Test, Then: n.Then, Else: m.change(n.Else, number-1-thenSize, mate)}
}

func (m *Mutator) here(n, mate *Node) *Node {
	if n.Test == nil {
		switch m.random.IntN(4) {
		case 0: // the other action
			return &Node{Drop: !n.Drop}
		case 1: // a branch of the mate
			return m.branch(mate)
		default: // ask before acting
			return &Node{Test: m.test(), Then: &Node{Drop: !n.Drop}, Else: n}
		}
	}
	switch m.random.IntN(6) {
	case 0: // forget the question
		if m.random.IntN(2) == 0 {
			return n.Then
		}
		return n.Else
	case 1: // the other way round
		return &Node{Test: n.Test, Then: n.Else, Else: n.Then}
	case 2: // another value of the same field
		test := *n.Test
		test.Value = m.value(test.Field)
		return &Node{Test: &test, Then: n.Then, Else: n.Else}
	case 3: // another question
		return &Node{Test: m.test(), Then: n.Then, Else: n.Else}
	case 4: // an exception first
		return &Node{Test: m.test(), Then: &Node{Drop: m.random.IntN(2) == 0}, Else: n}
	}
	return m.branch(mate)
}

func (m *Mutator) branch(n *Node) *Node {
	for n.Test != nil && m.random.IntN(3) != 0 {
		if m.random.IntN(2) == 0 {
			n = n.Then
		} else {
			n = n.Else
		}
	}
	return n
}

// test makes a question whose constant occurs in the window.
func (m *Mutator) test() *Test {
	field := Field(m.random.IntN(int(FieldFirstByte))) // the first byte is for cheats
	t := &Test{Field: field, Value: m.value(field)}
	switch field {
	case FieldLength, FieldFlowPackets:
		t.Operator = Above
	case FieldTCPFlags:
		t.Operator = []Operator{Equal, AnyBits}[m.random.IntN(2)]
	case FieldDestinationPort, FieldSourcePort:
		t.Operator = []Operator{Equal, Equal, Above}[m.random.IntN(3)]
	}
	return t
}

// value draws a seen value, frequent ones more often.
func (m *Mutator) value(field Field) uint32 {
	seen := m.window.values[field]
	if len(seen) == 0 {
		return 0
	}
	return seen[min(m.random.IntN(len(seen)), m.random.IntN(len(seen)))]
}

// simplify removes questions whose answer does not matter and those already
// answered higher up.
func simplify(n *Node) *Node { return reduce(n, nil) }

// answered is a question asked on the way down.
type answered struct {
	test  Test
	holds bool
	up    *answered
}

func reduce(n *Node, known *answered) *Node {
	if n.Test == nil {
		return n
	}
	for a := known; a != nil; a = a.up {
		if a.test == *n.Test {
			if a.holds {
				return reduce(n.Then, known)
			}
			return reduce(n.Else, known)
		}
	}
	then := reduce(n.Then, &answered{*n.Test, true, known})
	otherwise := reduce(n.Else, &answered{*n.Test, false, known})
	if then.Test == nil && otherwise.Test == nil && then.Drop == otherwise.Drop {
		return then
	}
	return &Node{Test: n.Test, Then: then, Else: otherwise}
}
