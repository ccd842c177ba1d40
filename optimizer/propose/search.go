package propose

import "sort"

// Filter is a candidate of the search with its origin.
type Filter struct {
	Name      string
	Origin    string // seed filter it descends from
	Root      *Node
	Rehearsal Rehearsal
	score     float64
}

// Search is how hard to look.
type Search struct {
	Generations int
	Children    int // per generation
}

// DefaultSearch takes about a second.
var DefaultSearch = Search{Generations: 60, Children: 96}

// Run mutates the seed filters for some generations and returns up to count
// lossless filters, best rehearsal first.
func (s Search) Run(seed uint64, w *Window, count int) []Filter {
	mutator := NewMutator(seed, w)
	seeds := Seeds(w)
	var kept archive
	for _, name := range seedNames {
		kept.add(w.filter(name, seeds[name]), len(w.Packets))
	}
	for range s.Generations {
		parents, lossless := kept.filters()
		for range s.Children {
			parent := mutator.pick(parents, lossless)
			mate := parents[mutator.random.IntN(len(parents))]
			kept.add(w.filter(parent.Origin, mutator.child(parent.Root, mate.Root)), len(w.Packets))
		}
	}
	_, lossless := kept.filters()
	sort.SliceStable(lossless, func(i, j int) bool { return lossless[i].score > lossless[j].score })
	return submit(lossless, len(w.Packets), count)
}

// archive keeps the best filter of each cell: of those that drop about as much
// and lose about as much. A bold filter is often a few exceptions away from a
// good one, and competes with its like only until it has them.
type archive [len(lossBounds) + 1][dropCells + 1]*Filter

const dropCells = 20

// lossBounds divide filters by the share of packets they lose, in thousandths.
var lossBounds = [...]int{0, 2, 10, 40, 120}

func (a *archive) add(f Filter, packets int) {
	loss := 0
	for loss < len(lossBounds) && f.Rehearsal.WantedLost*1000 > lossBounds[loss]*packets {
		loss++
	}
	cell := &a[loss][dropCells*f.Rehearsal.Dropped/max(packets, 1)]
	if *cell == nil || f.score > (*cell).score {
		*cell = &f
	}
}

// filters lists the archive, lossless ones first.
func (a *archive) filters() (all, lossless []Filter) {
	for loss := range a {
		for _, filter := range a[loss] {
			if filter != nil {
				all = append(all, *filter)
			}
		}
		if loss == 0 {
			lossless = append(lossless, all...)
		}
	}
	return all, lossless
}

// pick takes a lossless parent half of the time.
func (m *Mutator) pick(all, lossless []Filter) Filter {
	if len(lossless) > 0 && m.random.IntN(2) == 0 {
		return lossless[m.random.IntN(len(lossless))]
	}
	return all[m.random.IntN(len(all))]
}

// child learns from packets as often as it changes at random. A filter usually
// needs several exceptions before it loses nothing, so it may learn from several.
func (m *Mutator) child(parent, mate *Node) *Node {
	if m.random.IntN(2) == 0 {
		return m.Mutate(parent, mate)
	}
	child := parent
	for range 1 + m.random.IntN(5) {
		child = m.Learn(child, mate)
	}
	return child
}

// submit picks filters, best first, that differ in how much they drop: near
// copies of the best would tell the fleet nothing.
func submit(lossless []Filter, packets, count int) []Filter {
	var chosen []Filter
	const apart = 50 // one packet in so many
	for _, filter := range lossless {
		if filter.Rehearsal.Dropped == 0 || len(chosen) == count {
			continue
		}
		far := true
		for _, other := range chosen {
			difference := filter.Rehearsal.Dropped - other.Rehearsal.Dropped
			far = far && max(difference, -difference)*apart >= packets
		}
		if far {
			chosen = append(chosen, filter)
		}
	}
	return chosen
}

func (w *Window) filter(origin string, root *Node) Filter {
	r := w.Rehearse(root)
	return Filter{Origin: origin, Root: root, Rehearsal: r, score: w.score(root, r)}
}
