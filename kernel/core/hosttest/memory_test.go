package hosttest

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

const (
	opTake = 0
	opGive = 1
	opAdd  = 2
)

// script collects commands for the C side and reads its numbers back.
type script struct{ commands []byte }

func (s *script) add(kind, value uint32) {
	s.commands = binary.LittleEndian.AppendUint32(s.commands, kind)
	s.commands = binary.LittleEndian.AppendUint32(s.commands, value)
}

func (s *script) run(t *testing.T, c *core, kind byte) []int {
	t.Helper()
	var numbers []int
	answer := c.ask(t, kind, s.commands)
	for _, field := range strings.Fields(answer) {
		number, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("answer %q", answer)
		}
		numbers = append(numbers, number)
	}
	return numbers
}

const (
	buddyPages = 3000 // of testdata/core_host.c
	orderMax   = 10
)

// TestBuddy plays random scripts against a model: a page belongs to one block
// at a time, blocks are aligned, and in the end everything is free and joined.
func TestBuddy(t *testing.T) {
	const seed = 20260803
	c := start(t)
	for round := range 60 {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		orders := make([]uint32, 400)
		for i := range orders {
			orders[i] = uint32(random.IntN(orderMax + 1))
			if i%3 != 0 {
				orders[i] %= 3
			}
		}
		// The C side is deterministic, so its answers to the takes are known
		// before the gives are chosen: play the takes, then takes and gives.
		var takes script
		takes.add(opAdd, 5<<16|(buddyPages-5))
		for _, order := range orders {
			takes.add(opTake, order)
		}
		numbers := takes.run(t, c, 'b')
		owned := map[int]bool{}
		var blocks []int
		free := buddyPages - 5
		for i, order := range orders {
			first := numbers[i]
			if first < 0 {
				continue
			}
			size := 1 << order
			if first%size != 0 || first < 5 || first+size > buddyPages {
				t.Fatalf("seed %d round %d: block %d of order %d is out of place", seed, round, first, order)
			}
			for page := first; page < first+size; page++ {
				if owned[page] {
					t.Fatalf("seed %d round %d: page %d given twice", seed, round, page)
				}
				owned[page] = true
			}
			blocks = append(blocks, first)
			free -= size
		}
		if numbers[len(orders)] != free {
			t.Fatalf("seed %d round %d: %d pages free, model says %d", seed, round, numbers[len(orders)], free)
		}
		random.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		checkGives(t, c, takes, blocks, len(orders), seed, round)
	}
}

func checkGives(t *testing.T, c *core, takes script, blocks []int, taken, seed, round int) {
	t.Helper()
	for _, first := range blocks {
		takes.add(opGive, uint32(first))
		takes.add(opGive, uint32(first)) // twice is refused
	}
	takes.add(opGive, buddyPages+7)
	// Everything came together again: the largest aligned block is whole.
	takes.add(opTake, orderMax)
	numbers := takes.run(t, c, 'b')[taken:]
	for i := range blocks {
		if numbers[2*i] != 1 || numbers[2*i+1] != 0 {
			t.Fatalf("seed %d round %d: giving block %d answered %v, giving it again %v", seed, round, blocks[i], numbers[2*i], numbers[2*i+1])
		}
	}
	rest := numbers[2*len(blocks):]
	if rest[0] != 0 || rest[1] != 1024 || rest[2] != buddyPages-5-1024 {
		t.Fatalf("seed %d round %d: after all gives %v", seed, round, rest)
	}
}

// TestPool: all places once, none twice, foreign pointers refused.
func TestPool(t *testing.T) {
	c := start(t)
	var takes script
	for range 101 {
		takes.add(opTake, 0)
	}
	numbers := takes.run(t, c, 'p')
	if numbers[100] != -1 || numbers[101] != 100 {
		t.Fatalf("the 101st object of 100 is %d, used %d", numbers[100], numbers[101])
	}
	for i, at := range numbers[:100] {
		if at != i*48 {
			t.Fatalf("object %d lies at %d", i, at)
		}
	}
	takes.add(opGive, 48)
	takes.add(opGive, 0)
	takes.add(opGive, 17)   // not the start of an object
	takes.add(opGive, 4800) // behind the last
	takes.add(opTake, 0)
	takes.add(opTake, 0)
	takes.add(opTake, 0)
	numbers = takes.run(t, c, 'p')[101:]
	for i, want := range []int{1, 1, 0, 0, 0, 48, -1, 100} {
		if numbers[i] != want {
			t.Fatalf("answer %d is %d, want %d (%v)", i, numbers[i], want, numbers)
		}
	}
}

func TestFormat(t *testing.T) {
	if answer := start(t).ask(t, 'f', nil); answer != "ok" {
		t.Fatalf("differs from the C library: %s", answer)
	}
}

func TestString(t *testing.T) {
	const seed = 20260804
	if answer := start(t).ask(t, 's', binary.LittleEndian.AppendUint32(nil, seed)); answer != "ok" {
		t.Fatalf("seed %d: differs from the C library in %s", seed, answer)
	}
}
