package wasm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// The host's floating-point unit is the oracle: every operation, on every pair
// of edge cases and on seeded numbers.

var edges64 = []uint64{
	0, sign64, 1, sign64 | 1, 0x000fffffffffffff, 0x0010000000000000, 0x0010000000000001, 0x001fffffffffffff,
	0x3ff0000000000000, 0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff, 0x3fe0000000000000, 0xbfe0000000000000,
	0x3fe0000000000001, 0x3fdfffffffffffff, 0x3ff8000000000000, 0x4004000000000000, 0x4330000000000000, 0x4330000000000001,
	0x432fffffffffffff, 0x4340000000000000, 0x43e0000000000000, 0xc3e0000000000000, 0x43dfffffffffffff, 0x43f0000000000000,
	0x43efffffffffffff, 0x41e0000000000000, 0xc1e0000000200000, 0x41dfffffffc00000, 0x41efffffffe00000, 0x41f0000000000000,
	0x7fefffffffffffff, 0xffefffffffffffff, infinity64, sign64 | infinity64, nan64, 0x7ff0000000000001, 0xfff8000000000123,
	0x36a0000000000000, 0x3690000000000000, 0x3690000000000001, 0x36b8000000000000, 0x380fffffe0000000, 0x380ffffff0000000,
	0x47efffffe0000000, 0x47effffff0000000, 0x47efffffefffffff, 0x3ff0000010000000, 0x3ff0000030000000,
}

// samples mixes edges with bits whose exponents lie close enough to meet.
func samples(r *rand.Rand) uint64 {
	switch r.Uint32() % 5 {
	case 0:
		return edges64[int(r.Uint32())%len(edges64)]
	case 1:
		return math.Float64bits(float64(int64(r.Uint64()) >> (r.Uint32() & 63)))
	case 2:
		return math.Float64bits(float64(math.Float32frombits(r.Uint32())))
	case 3:
		return r.Uint64()&^(0x7ff<<52) | uint64(1000+r.Uint32()%60)<<52
	}
	return r.Uint64()
}

func same64(got uint64, want float64) bool {
	if math.IsNaN(want) {
		return got == nan64
	}
	return got == math.Float64bits(want)
}

func same32(got uint64, want float32) bool {
	if want != want {
		return got == nan32
	}
	return got == uint64(math.Float32bits(want))
}

var binary64 = map[uint16]func(x, y float64) float64{
	f64Add: func(x, y float64) float64 { return x + y }, f64Sub: func(x, y float64) float64 { return x - y },
	f64Mul: func(x, y float64) float64 { return x * y }, f64Div: func(x, y float64) float64 { return x / y },
	f64Min: func(x, y float64) float64 { return min(x, y) }, f64Max: func(x, y float64) float64 { return max(x, y) },
}

var unary64 = map[uint16]func(x float64) float64{
	f64Ceil: math.Ceil, f64Floor: math.Floor, f64Trunc: math.Trunc, f64Nearest: math.RoundToEven, f64Sqrt: math.Sqrt,
}

var binary32 = map[uint16]func(x, y float32) float32{
	f32Add: func(x, y float32) float32 { return x + y }, f32Sub: func(x, y float32) float32 { return x - y },
	f32Mul: func(x, y float32) float32 { return x * y }, f32Div: func(x, y float32) float32 { return x / y },
	f32Min: func(x, y float32) float32 { return min(x, y) }, f32Max: func(x, y float32) float32 { return max(x, y) },
}

func checkPair(t *testing.T, x, y uint64) {
	t.Helper()
	a, b := math.Float64frombits(x), math.Float64frombits(y)
	for operation, want := range binary64 {
		if got := float64Operation(operation, x, y); !same64(got, want(a, b)) {
			t.Fatalf("operation %#x of %#x and %#x: %#x, want %#x", operation, x, y, got, math.Float64bits(want(a, b)))
		}
	}
	for operation, want := range unary64 {
		if got := float64Operation(operation, x, 0); !same64(got, want(a)) {
			t.Fatalf("operation %#x of %#x: %#x, want %#x", operation, x, got, math.Float64bits(want(a)))
		}
	}
	for which, want := range []bool{a == b, a != b, a < b, a > b, a <= b, a >= b} {
		if got := compare64(uint16(which), x, y); got != truth(want) {
			t.Fatalf("comparison %d of %#x and %#x: %d", which, x, y, got)
		}
	}
	if got := demote(x); !same32(got, float32(a)) {
		t.Fatalf("%#x to single: %#x, want %#x", x, got, math.Float32bits(float32(a)))
	}
	checkSingles(t, uint64(uint32(x>>13)), uint64(uint32(y)))
	checkSingles(t, demote(x), demote(y))
}

func checkSingles(t *testing.T, x, y uint64) {
	t.Helper()
	a, b := math.Float32frombits(uint32(x)), math.Float32frombits(uint32(y))
	for operation, want := range binary32 {
		if got := float32Operation(operation, x, y); !same32(got, want(a, b)) {
			t.Fatalf("operation %#x of %#x and %#x: %#x, want %#x", operation, x, y, got, math.Float32bits(want(a, b)))
		}
	}
	if got := float32Operation(f32Sqrt, x, 0); !same32(got, float32(math.Sqrt(float64(a)))) {
		t.Fatalf("root of %#x: %#x", x, got)
	}
	if got := promote(x); !same64(got, float64(a)) {
		t.Fatalf("%#x to double: %#x", x, got)
	}
}

func checkIntegers(t *testing.T, x uint64) {
	t.Helper()
	for operation, want := range map[uint16]float64{
		f64ConvertI32S: float64(int32(x)), f64ConvertI32U: float64(uint32(x)),
		f64ConvertI64S: float64(int64(x)), f64ConvertI64U: float64(x),
	} {
		if got := convert(operation, x); !same64(got, want) {
			t.Fatalf("operation %#x of %#x: %#x, want %#x", operation, x, got, math.Float64bits(want))
		}
	}
	for operation, want := range map[uint16]float32{
		f32ConvertI32S: float32(int32(x)), f32ConvertI32U: float32(uint32(x)),
		f32ConvertI64S: float32(int64(x)), f32ConvertI64U: float32(x),
	} {
		if got := convert(operation, x); !same32(got, want) {
			t.Fatalf("operation %#x of %#x: %#x, want %#x", operation, x, got, math.Float32bits(want))
		}
	}
	checkTruncation(t, x)
}

// checkTruncation compares within the range in which Go defines the conversion.
func checkTruncation(t *testing.T, x uint64) {
	t.Helper()
	whole := math.Trunc(math.Float64frombits(x))
	for which, bounds := range [][2]float64{2: {-1 << 31, 1<<31 - 1}, 3: {0, 1<<32 - 1}, 6: {-1 << 63, 0x7ffffffffffffc00}, 7: {0, 0xfffffffffffff800}} {
		if which&2 == 0 {
			continue
		}
		got, code := truncate(uint16(which), x)
		var want uint64
		wanted := abi.OK
		mask := ^uint64(0)
		if which < 4 {
			mask = 0xffffffff
		}
		switch {
		case math.IsNaN(whole):
			wanted = abi.ErrTrapConversion
		case whole < bounds[0]:
			wanted = abi.ErrTrapOverflow
			want = map[int]uint64{2: sign32, 6: sign64}[which]
		case whole > bounds[1]:
			wanted = abi.ErrTrapOverflow
			want = map[int]uint64{2: sign32 - 1, 3: 0xffffffff, 6: sign64 - 1, 7: ^uint64(0)}[which]
		case whole < 0:
			want = uint64(int64(whole)) & mask
		default:
			want = uint64(whole) & mask
		}
		if got != want || code != wanted {
			t.Fatalf("conversion %d of %#x: %#x %s, want %#x %s", which, x, got, code, want, wanted)
		}
	}
}

func TestFloatEdgesMatchHardware(t *testing.T) {
	for _, x := range edges64 {
		checkIntegers(t, x)
		for _, y := range edges64 {
			checkPair(t, x, y)
		}
	}
}

func TestFloatsMatchHardware(t *testing.T) {
	const seed = 20261122
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 300_000
	if testing.Short() {
		rounds = 20_000
	}
	for i := 0; i < rounds; i++ {
		x, y := samples(r), samples(r)
		checkPair(t, x, y)
		checkIntegers(t, x)
		checkIntegers(t, r.Uint64()>>(r.Uint32()&63))
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, i)
		}
	}
}
