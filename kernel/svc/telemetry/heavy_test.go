package telemetry

import (
	"math/rand/v2"
	"testing"
)

// Space-Saving's promise: a key with more than one in heavyCounters of the
// stream is in the table at the end, whatever the order, and no counter is
// below the truth.
func TestHeavyKeysAreFound(t *testing.T) {
	for seed := uint64(1); seed <= 50; seed++ {
		random := rand.New(rand.NewPCG(seed, 1))
		var h heavy
		truth := map[uint64]uint32{}
		keys := 1 + random.IntN(400)
		for i := 0; i < WindowEvents; i++ {
			key := uint64(random.IntN(keys))
			if random.IntN(3) == 0 {
				key = uint64(random.IntN(1 + keys/20)) // some are frequent
			}
			truth[key]++
			h.add(key)
		}
		if h.spilt != (len(truth) > heavyCounters) {
			t.Errorf("seed %d: %d keys, spilt %v", seed, len(truth), h.spilt)
		}
		found, last := map[uint64]uint32{}, ^uint32(0)
		for {
			key, count := h.top()
			if count == 0 {
				break
			}
			if count > last {
				t.Errorf("seed %d: top is out of order", seed)
			}
			found[key], last = count, count
		}
		for key, count := range truth {
			if count > WindowEvents/heavyCounters && found[key] < count {
				t.Errorf("seed %d: key %d occurs %d times, table says %d", seed, key, count, found[key])
			}
		}
	}
}
