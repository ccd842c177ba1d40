package telemetry

// heavyCounters is the size of one Space-Saving table (Metwally, Agrawal, El
// Abbadi, 2005): with 32 counters every key with more than 1/32 of the stream
// is certainly in the table, whatever the order of arrival.
const heavyCounters = 32

// heavy finds the frequent keys of one field in one pass and fixed space.
type heavy struct {
	keys   [heavyCounters]uint64
	counts [heavyCounters]uint32
	used   int
	spilt  bool // a counter was taken over: keys were forgotten
}

func (h *heavy) clear() {
	h.used = 0
	h.spilt = false
}

// add counts one key; the smallest counter is taken over when none is free.
func (h *heavy) add(key uint64) {
	least := 0
	for i := 0; i < h.used; i++ {
		if h.keys[i] == key {
			h.counts[i]++
			h.forward(i)
			return
		}
		if h.counts[i] < h.counts[least] {
			least = i
		}
	}
	if h.used < heavyCounters {
		h.keys[h.used] = key
		h.counts[h.used] = 1
		h.used++
		return
	}
	h.spilt = true
	h.keys[least] = key
	h.counts[least]++
	h.forward(least)
}

// forward moves a grown counter one place towards the front, so that frequent
// keys are found first.
func (h *heavy) forward(i int) {
	if i > 0 && h.counts[i] > h.counts[i-1] {
		h.keys[i], h.keys[i-1] = h.keys[i-1], h.keys[i]
		h.counts[i], h.counts[i-1] = h.counts[i-1], h.counts[i]
	}
}

// top returns the key with the largest count and takes it out of the table.
func (h *heavy) top() (key uint64, count uint32) {
	best := -1
	for i := 0; i < h.used; i++ {
		if best < 0 || h.counts[i] > h.counts[best] {
			best = i
		}
	}
	if best < 0 {
		return 0, 0
	}
	key, count = h.keys[best], h.counts[best]
	h.used--
	h.keys[best], h.counts[best] = h.keys[h.used], h.counts[h.used]
	return key, count
}
