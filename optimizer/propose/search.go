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

// Search is how hard to look. The defaults take well under a second.
type Search struct {
	Generations int
	Population  int
	Children    int // per generation
}

// DefaultSearch was chosen so that most seeds find every served port of the
// committed capture.
var DefaultSearch = Search{Generations: 60, Population: 24, Children: 96}

// Run mutates the seed filters for some generations and returns up to count
// filters that behave differently on the window, best rehearsal first. Lossy
// ones are kept during the search, as they may be one mutation from good, and
// are not returned.
func (s Search) Run(seed uint64, w *Window, count int) []Filter {
	mutator := NewMutator(seed, w)
	var population []Filter
	seeds := Seeds(w)
	for _, name := range seedNames {
		population = append(population, w.filter(name, seeds[name]))
	}
	for range s.Generations {
		parents := population
		for range s.Children {
			parent, mate := parents[mutator.pick(len(parents))], parents[mutator.random.IntN(len(parents))]
			child := mutator.Mutate(parent.Root, mate.Root)
			population = append(population, w.filter(parent.Origin, child))
		}
		population = distinct(population, s.Population)
	}
	var lossless []Filter
	for _, filter := range population {
		if filter.Rehearsal.WantedLost == 0 && filter.Rehearsal.Dropped > 0 && len(lossless) < count {
			lossless = append(lossless, filter)
		}
	}
	return lossless
}

func (w *Window) filter(origin string, root *Node) Filter {
	r := w.Rehearse(root)
	return Filter{Origin: origin, Root: root, Rehearsal: r, score: w.score(root, r)}
}

// pick prefers the front of an ordered population: the best of two draws.
func (m *Mutator) pick(count int) int {
	return min(m.random.IntN(count), m.random.IntN(count))
}

// distinct orders by score and keeps the best filter of each behaviour. Half of
// the room is for filters that lose something: a bold filter is often one
// exception away from a good one, and would otherwise crowd the timid ones out
// or be crowded out by them.
func distinct(population []Filter, count int) []Filter {
	sort.SliceStable(population, func(i, j int) bool {
		a, b := &population[i], &population[j]
		if a.score != b.score {
			return a.score > b.score
		}
		return a.Root.size() < b.Root.size()
	})
	seen := map[uint64]bool{}
	room := [2]int{count / 2, count - count/2} // lossy, lossless
	kept := make([]Filter, 0, count)
	for _, filter := range population {
		class := 0
		if filter.Rehearsal.WantedLost == 0 {
			class = 1
		}
		if seen[filter.Rehearsal.behaviour] || room[class] == 0 {
			continue
		}
		seen[filter.Rehearsal.behaviour] = true
		room[class]--
		kept = append(kept, filter)
	}
	return kept
}
