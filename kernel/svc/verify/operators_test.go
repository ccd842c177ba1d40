package verify

import (
	"math/bits"
	"math/rand"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Every abstract operator and every refinement by itself, exhaustively at
// small width around the places where arithmetic wraps, and at random at full
// width. The concrete meanings are written out here once more.

type binaryCase struct {
	name      string
	operation uint8
	signed    bool
	concrete  func(a, b uint64, width uint) uint64
}

func sign(a uint64, width uint) int64 { return int64(a<<(64-width)) >> (64 - width) }

var binaryCases = []binaryCase{
	{"add", bpf.OperationAdd, false, func(a, b uint64, _ uint) uint64 { return a + b }},
	{"sub", bpf.OperationSub, false, func(a, b uint64, _ uint) uint64 { return a - b }},
	{"mul", bpf.OperationMul, false, func(a, b uint64, _ uint) uint64 { return a * b }},
	{"and", bpf.OperationAnd, false, func(a, b uint64, _ uint) uint64 { return a & b }},
	{"or", bpf.OperationOr, false, func(a, b uint64, _ uint) uint64 { return a | b }},
	{"xor", bpf.OperationXor, false, func(a, b uint64, _ uint) uint64 { return a ^ b }},
	{"mov", bpf.OperationMov, false, func(_, b uint64, _ uint) uint64 { return b }},
	{"lsh", bpf.OperationLsh, false, func(a, b uint64, width uint) uint64 { return a << (b % uint64(width)) }},
	{"rsh", bpf.OperationRsh, false, func(a, b uint64, width uint) uint64 { return a >> (b % uint64(width)) }},
	{"arsh", bpf.OperationArsh, false, func(a, b uint64, width uint) uint64 { return uint64(sign(a, width) >> (b % uint64(width))) }},
	{"div", bpf.OperationDiv, false, func(a, b uint64, _ uint) uint64 {
		if b == 0 {
			return 0
		}
		return a / b
	}},
	{"mod", bpf.OperationMod, false, func(a, b uint64, _ uint) uint64 {
		if b == 0 {
			return a
		}
		return a % b
	}},
	{"sdiv", bpf.OperationDiv, true, func(a, b uint64, width uint) uint64 {
		x, y := sign(a, width), sign(b, width)
		if y == 0 {
			return 0
		}
		if y == -1 {
			return uint64(-x)
		}
		return uint64(x / y)
	}},
	{"smod", bpf.OperationMod, true, func(a, b uint64, width uint) uint64 {
		x, y := sign(a, width), sign(b, width)
		if y == 0 {
			return a
		}
		if y == -1 {
			return 0
		}
		return uint64(x % y)
	}},
}

// concrete is the machine's result at 64 or 32 bits.
func (c binaryCase) at(a, b uint64, is32 bool) uint64 {
	if is32 {
		return uint64(uint32(c.concrete(uint64(uint32(a)), uint64(uint32(b)), 32)))
	}
	return c.concrete(a, b, 64)
}

func (c binaryCase) abstract(a, b Scalar, is32 bool) Scalar {
	if is32 {
		return arithmetic32(c.operation, c.signed, a, b)
	}
	return arithmetic64(c.operation, c.signed, a, b)
}

// bases are where small intervals are laid: around zero and around the points
// where a sign or a carry changes.
var bases = []uint64{0, ^uint64(3), 1<<31 - 4, 1<<32 - 4, 1<<63 - 4, 0xffffffff80000000 - 4, 60}

// interval is every number from base+low to base+high, wrapping.
func interval(base uint64, low, high int) Scalar {
	s := unknownScalar
	first, last := base+uint64(low), base+uint64(high)
	if first <= last {
		s.UMin, s.UMax = first, last
	}
	if int64(first) <= int64(last) {
		s.SMin, s.SMax = int64(first), int64(last)
	}
	if uint32(first) <= uint32(last) {
		s.U32Min, s.U32Max = uint32(first), uint32(last)
	}
	if int32(first) <= int32(last) {
		s.S32Min, s.S32Max = int32(first), int32(last)
	}
	if !s.sync() {
		panic("an interval with members is called empty")
	}
	return s
}

const smallWidth = 7 // intervals of 0..6

func TestOperatorsOnSmallIntervals(t *testing.T) {
	checked := 0
	for _, baseA := range bases {
		for _, baseB := range bases {
			eachIntervalPair(func(la, ha, lb, hb int) {
				a, b := interval(baseA, la, ha), interval(baseB, lb, hb)
				for _, c := range binaryCases {
					for _, is32 := range []bool{false, true} {
						got := c.abstract(a, b, is32)
						for x := la; x <= ha; x++ {
							for y := lb; y <= hb; y++ {
								checked++
								vx, vy := baseA+uint64(x), baseB+uint64(y)
								if value := c.at(vx, vy, is32); !got.Contains(value) {
									t.Fatalf("%s (32 bits: %v): %#x, %#x give %#x, not in %+v", c.name, is32, vx, vy, value, got)
								}
							}
						}
					}
				}
			})
		}
	}
	t.Logf("%d pairs of numbers", checked)
}

func eachIntervalPair(visit func(lowA, highA, lowB, highB int)) {
	for la := 0; la < smallWidth; la += 2 {
		for ha := la; ha < smallWidth; ha++ {
			for lb := 0; lb < smallWidth; lb += 2 {
				for hb := lb; hb < smallWidth; hb++ {
					visit(la, ha, lb, hb)
				}
			}
		}
	}
}

var comparisonsToTest = []uint8{
	bpf.JumpEqual, bpf.JumpNotEqual, bpf.JumpGreater, bpf.JumpGreaterEqual, bpf.JumpLess, bpf.JumpLessEqual, bpf.JumpSet, jumpNotSet,
	bpf.JumpSignedGreater, bpf.JumpSignedGreaterEq, bpf.JumpSignedLess, bpf.JumpSignedLessEqual,
}

func compares(operation uint8, is32 bool, a, b uint64) bool {
	x, y := int64(a), int64(b)
	if is32 {
		a, b, x, y = uint64(uint32(a)), uint64(uint32(b)), int64(int32(a)), int64(int32(b))
	}
	switch operation {
	case bpf.JumpEqual:
		return a == b
	case bpf.JumpNotEqual:
		return a != b
	case bpf.JumpGreater:
		return a > b
	case bpf.JumpGreaterEqual:
		return a >= b
	case bpf.JumpLess:
		return a < b
	case bpf.JumpLessEqual:
		return a <= b
	case bpf.JumpSignedGreater:
		return x > y
	case bpf.JumpSignedGreaterEq:
		return x >= y
	case bpf.JumpSignedLess:
		return x < y
	case bpf.JumpSignedLessEqual:
		return x <= y
	case bpf.JumpSet:
		return a&b != 0
	}
	return a&b == 0
}

// TestRefinementsOnSmallIntervals: members that satisfy the comparison stay,
// and a branch called dead has none.
func TestRefinementsOnSmallIntervals(t *testing.T) {
	for _, baseA := range bases {
		for _, baseB := range bases {
			eachIntervalPair(func(la, ha, lb, hb int) {
				for _, operation := range comparisonsToTest {
					for _, is32 := range []bool{false, true} {
						a, b := interval(baseA, la, ha), interval(baseB, lb, hb)
						possible := refine(operation, is32, &a, &b)
						for x := la; x <= ha; x++ {
							for y := lb; y <= hb; y++ {
								vx, vy := baseA+uint64(x), baseB+uint64(y)
								if compares(operation, is32, vx, vy) && (!possible || !a.Contains(vx) || !b.Contains(vy)) {
									t.Fatalf("comparison %#x (32 bits: %v): %#x, %#x satisfy it; possible %v, left %+v, right %+v", operation, is32, vx, vy, possible, a, b)
								}
							}
						}
					}
				}
			})
		}
	}
}

// eachTnum visits every tnum of the lowest width bits.
func eachTnum(width uint, visit func(tnum)) {
	for mask := uint64(0); mask < 1<<width; mask++ {
		for value := uint64(0); value < 1<<width; value++ {
			if value&mask == 0 {
				visit(tnum{value, mask})
			}
		}
	}
}

func eachMember(a tnum, visit func(uint64)) {
	for subset := a.Mask; ; subset = (subset - 1) & a.Mask {
		visit(a.Value | subset)
		if subset == 0 {
			return
		}
	}
}

// TestTnumExhaustively: all pairs of 5-bit tnums, all members.
func TestTnumExhaustively(t *testing.T) {
	const width = 5
	operators := []struct {
		name     string
		abstract func(a, b tnum) tnum
		concrete func(a, b uint64) uint64
	}{
		{"add", tnum.add, func(a, b uint64) uint64 { return a + b }},
		{"sub", tnum.sub, func(a, b uint64) uint64 { return a - b }},
		{"mul", tnum.mul, func(a, b uint64) uint64 { return a * b }},
		{"and", tnum.and, func(a, b uint64) uint64 { return a & b }},
		{"or", tnum.or, func(a, b uint64) uint64 { return a | b }},
		{"xor", tnum.xor, func(a, b uint64) uint64 { return a ^ b }},
	}
	eachTnum(width, func(a tnum) {
		eachTnum(width, func(b tnum) {
			common, some := a.intersect(b)
			eachMember(a, func(x uint64) {
				if b.contains(x) && (!some || !common.contains(x)) {
					t.Fatalf("intersect: %#x lost of %+v and %+v", x, a, b)
				}
				if a.includes(b) != includedByMembers(a, b) {
					t.Fatalf("includes: %+v, %+v", a, b)
				}
			})
			for _, operator := range operators {
				got := operator.abstract(a, b)
				eachMember(a, func(x uint64) {
					eachMember(b, func(y uint64) {
						if value := operator.concrete(x, y); !got.contains(value) {
							t.Fatalf("%s: %#x, %#x give %#x, not in %+v", operator.name, x, y, value, got)
						}
					})
				})
			}
		})
	})
}

func includedByMembers(a, b tnum) bool {
	all := true
	eachMember(b, func(value uint64) { all = all && a.contains(value) })
	return all
}

func TestTnumRange(t *testing.T) {
	for low := uint64(0); low < 40; low++ {
		for high := low; high < 70; high++ {
			r := tnumRange(low, high)
			for value := low; value <= high; value++ {
				if !r.contains(value) {
					t.Fatalf("range %d..%d loses %d", low, high, value)
				}
			}
		}
	}
}

// randomScalar is a scalar with some of its members.
func randomScalar(random *rand.Rand) (Scalar, []uint64) {
	members := []uint64{randomNumber(random)}
	s := constantScalar(members[0])
	for n := random.Intn(4); n > 0; n-- {
		value := randomNumber(random)
		if random.Intn(2) == 0 {
			value = members[0] + uint64(random.Intn(300))
		}
		members = append(members, value)
		s = widen(s, value)
	}
	if !s.sync() {
		panic("a scalar with members is called empty")
	}
	return s, members
}

func widen(s Scalar, value uint64) Scalar {
	differing := s.Value ^ value
	s.Mask |= differing
	s.Value &^= s.Mask
	s.UMin, s.UMax = min(s.UMin, value), max(s.UMax, value)
	s.SMin, s.SMax = min(s.SMin, int64(value)), max(s.SMax, int64(value))
	s.U32Min, s.U32Max = min(s.U32Min, uint32(value)), max(s.U32Max, uint32(value))
	s.S32Min, s.S32Max = min(s.S32Min, int32(value)), max(s.S32Max, int32(value))
	return s
}

func randomNumber(random *rand.Rand) uint64 {
	value := random.Uint64()
	switch random.Intn(4) {
	case 0:
		return value >> random.Intn(64)
	case 1:
		return ^(value >> random.Intn(64))
	case 2:
		return uint64(1)<<random.Intn(64) + uint64(random.Intn(3)) - 1
	}
	return value
}

func TestOperatorsAtFullWidth(t *testing.T) {
	const seed = 3
	random := rand.New(rand.NewSource(seed))
	rounds := 60000
	if testing.Short() {
		rounds = 10000
	}
	for round := 0; round < rounds; round++ {
		a, membersA := randomScalar(random)
		b, membersB := randomScalar(random)
		c := binaryCases[random.Intn(len(binaryCases))]
		is32 := random.Intn(2) == 0
		got := c.abstract(a, b, is32)
		operation := comparisonsToTest[random.Intn(len(comparisonsToTest))]
		left, right := a, b
		possible := refine(operation, is32, &left, &right)
		for _, x := range membersA {
			for _, y := range membersB {
				if value := c.at(x, y, is32); !got.Contains(value) {
					t.Fatalf("seed %d: %s (32 bits: %v): %#x, %#x give %#x, not in %+v", seed, c.name, is32, x, y, value, got)
				}
				if compares(operation, is32, x, y) && (!possible || !left.Contains(x) || !right.Contains(y)) {
					t.Fatalf("seed %d: comparison %#x (32 bits: %v) loses %#x, %#x", seed, operation, is32, x, y)
				}
			}
			checkUnary(t, a, x)
		}
	}
}

func checkUnary(t *testing.T, a Scalar, x uint64) {
	t.Helper()
	for _, width := range []uint{8, 16, 32} {
		if got := signExtend(a, width); !got.Contains(uint64(sign(x, width))) {
			t.Fatalf("sign extension from %d of %#x lost", width, x)
		}
	}
	if got := low32(a); !got.Contains(uint64(uint32(x))) {
		t.Fatalf("lower half of %#x lost", x)
	}
	for _, c := range []struct {
		width int32
		swaps bool
		want  uint64
	}{
		{16, true, uint64(bits.ReverseBytes16(uint16(x)))}, {32, true, uint64(bits.ReverseBytes32(uint32(x)))}, {64, true, bits.ReverseBytes64(x)},
		{16, false, uint64(uint16(x))}, {32, false, uint64(uint32(x))}, {64, false, x},
	} {
		if got := swapBytes(a, c.swaps, c.width); !got.Contains(c.want) {
			t.Fatalf("swap of %d bits (%v) of %#x lost", c.width, c.swaps, x)
		}
	}
}

// TestIntersectAndInclude: sets behave as sets.
func TestIntersectAndInclude(t *testing.T) {
	const seed = 4
	random := rand.New(rand.NewSource(seed))
	for round := 0; round < 100000; round++ {
		a, membersA := randomScalar(random)
		b, membersB := randomScalar(random)
		for _, member := range membersA {
			if !a.Contains(member) {
				t.Fatalf("seed %d: lost %#x", seed, member)
			}
		}
		if a.includes(&b) {
			for _, member := range membersB {
				if !a.Contains(member) {
					t.Fatalf("seed %d: includes, and lacks %#x", seed, member)
				}
			}
		}
		common := a
		some := common.intersect(&b)
		for _, member := range membersA {
			if b.Contains(member) && (!some || !common.Contains(member)) {
				t.Fatalf("seed %d: intersection loses %#x", seed, member)
			}
		}
	}
}
