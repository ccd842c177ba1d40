// Package fuzz finds programs that our verifier accepts and should not. It
// generates programs, verifies them, runs what was accepted and holds every
// concrete register and stack slot against the states the verifier explored.
//
// The same engine runs under `go test -fuzz`, under plain `go test` (corpora
// and a fixed number of seeded programs) and in `lab fuzz`. Everything random
// comes from the bytes or the seed it is given, so each finding repeats.
package fuzz

// Source yields random choices: first the given bytes, so that a coverage
// guided fuzzer can steer, then a generator seeded by them.
type Source struct {
	bytes []byte
	state uint64
}

// Reset starts over with bytes.
func (s *Source) Reset(bytes []byte) {
	s.bytes = bytes
	s.state = 0xcbf29ce484222325
	for _, b := range bytes {
		s.state = (s.state ^ uint64(b)) * 0x100000001b3
	}
}

// ResetSeed starts over without bytes.
func (s *Source) ResetSeed(seed uint64) {
	s.bytes = nil
	s.state = seed
}

// Uint64 is the next number (splitmix64, of Steele, Lea and Flood 2014).
func (s *Source) Uint64() uint64 {
	if len(s.bytes) > 0 {
		b := s.bytes[0]
		s.bytes = s.bytes[1:]
		return uint64(b)
	}
	s.state += splitmixStep
	return mixed(s.state)
}

// splitmixStep is what splitmix64 adds to its state for each number.
const splitmixStep = 0x9e3779b97f4a7c15

func mixed(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// ProgramSeed is the seed of program index of a run. It is mixed: seeds that
// lay whole steps apart would give every program the numbers of the one before,
// but for the first.
func ProgramSeed(seed, index uint64) uint64 { return mixed(mixed(seed) + index) }

// Below is a number from 0 to n-1.
func (s *Source) Below(n int) int { return int(s.Uint64() % uint64(n)) }

// OneIn is true once in n times.
func (s *Source) OneIn(n int) bool { return s.Below(n) == 0 }

// corners are the numbers where arithmetic goes wrong.
var corners = [...]uint64{
	0, 1, 2, 3, 4, 7, 8, 14, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1023, 0x7fff, 0x8000, 0xffff, 0x10000,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
	^uint64(0), ^uint64(1), ^uint64(7), ^uint64(0x7fffffff), ^uint64(0xffffffff),
}

// Number is a corner, a corner's neighbour, or anything.
func (s *Source) Number() uint64 {
	switch s.Below(4) {
	case 0:
		return corners[s.Below(len(corners))] + uint64(s.Below(3)) - 1
	case 1:
		return uint64(s.Below(64))
	case 2:
		return s.Uint64()<<32 | s.Uint64()&0xffffffff
	}
	return corners[s.Below(len(corners))]
}
