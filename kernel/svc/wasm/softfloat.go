// IEEE 754 arithmetic on the bits of numbers, rounding to nearest, ties to
// even. Every NaN made here is the canonical one, which the language allows.
//
// Operations on 32-bit numbers are done on 64-bit ones and rounded again. For
// + - * / and the square root that is exact: 53 bits are at least twice 24 and
// two more, so the first rounding can never move a number onto a tie.

package wasm

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// format is one of the two binary formats.
type format struct {
	fraction uint   // bits of it
	infinity uint64 // exponent all ones, as an exponent field
	bias     int
}

var (
	single = format{23, 0xff, 127}
	double = format{52, 0x7ff, 1023}
)

const (
	nan32      = 0x7fc00000
	nan64      = 0x7ff8000000000000
	infinity64 = 0x7ff0000000000000
	sign64     = 1 << 63
	sign32     = 1 << 31
)

func isNaN64(x uint64) bool { return x&^sign64 > infinity64 }
func isNaN32(x uint64) bool { return x&0x7fffffff > 0x7f800000 }

// pack rounds (-1)^sign * magnitude * 2^exponent into a format. The lowest bit
// of the magnitude may stand for all that was cut off below it, provided the
// magnitude then has two bits more than the format holds.
func (f *format) pack(sign uint64, exponent int, magnitude uint64) uint64 {
	sign <<= f.fraction + uint(bits.Len64(f.infinity))
	if magnitude == 0 {
		return sign
	}
	shift := bits.LeadingZeros64(magnitude)
	magnitude <<= uint(shift)
	exponent += 63 - shift + f.bias // of the leading bit, biased
	drop := 63 - f.fraction
	if exponent < 1 {
		magnitude = shiftSticky(magnitude, uint(1-exponent))
		exponent = 1
	}
	rest, half := magnitude&(1<<drop-1), uint64(1)<<(drop-1)
	magnitude >>= drop
	if rest > half || rest == half && magnitude&1 == 1 {
		magnitude++
	}
	if exponent >= int(f.infinity) {
		return sign | f.infinity<<f.fraction
	}
	// The leading bit adds one to the field: that is why it starts one lower,
	// and why a carry, or a subnormal without the bit, comes out right.
	result := uint64(exponent-1)<<f.fraction + magnitude
	return sign | min(result, f.infinity<<f.fraction)
}

// shiftSticky shifts right; bits lost leave a one at the bottom.
func shiftSticky(x uint64, by uint) uint64 {
	if by > 63 {
		return truth(x != 0)
	}
	lost := x & (1<<by - 1)
	return x>>by | truth(lost != 0)
}

// unpack64 splits a finite number: magnitude * 2^exponent, with bit 52 set
// unless the number is zero.
func unpack64(x uint64) (exponent int, magnitude uint64) {
	exponent, magnitude = int(x>>52&0x7ff), x&(1<<52-1)
	if exponent == 0 {
		if magnitude == 0 {
			return 0, 0
		}
		shift := bits.LeadingZeros64(magnitude) - 11
		return -1074 - shift, magnitude << uint(shift)
	}
	return exponent - 1075, magnitude | 1<<52
}

func add64(x, y uint64) uint64 {
	if isNaN64(x) || isNaN64(y) {
		return nan64
	}
	if x&^sign64 < y&^sign64 {
		x, y = y, x // the larger magnitude first
	}
	if x&^sign64 == infinity64 {
		if y == x^sign64 {
			return nan64
		}
		return x
	}
	if y&^sign64 == 0 {
		if x&^sign64 == 0 {
			return x & y // only -0 + -0 is -0
		}
		return x
	}
	ex, mx := unpack64(x)
	ey, my := unpack64(y)
	mx, my = mx<<10, shiftSticky(my<<10, uint(ex-ey))
	if (x^y)>>63 == 0 {
		return double.pack(x>>63, ex-10, mx+my)
	}
	if mx == my {
		return 0
	}
	return double.pack(x>>63, ex-10, mx-my)
}

func mul64(x, y uint64) uint64 {
	sign := (x ^ y) & sign64
	if isNaN64(x) || isNaN64(y) {
		return nan64
	}
	x, y = x&^sign64, y&^sign64
	if x == infinity64 || y == infinity64 {
		if x == 0 || y == 0 {
			return nan64
		}
		return sign | infinity64
	}
	ex, mx := unpack64(x)
	ey, my := unpack64(y)
	high, low := bits.Mul64(mx<<11, my<<11)
	return double.pack(sign>>63, ex+ey+42, high|truth(low != 0))
}

func div64(x, y uint64) uint64 {
	sign := (x ^ y) & sign64
	if isNaN64(x) || isNaN64(y) {
		return nan64
	}
	x, y = x&^sign64, y&^sign64
	switch {
	case x == infinity64 && y == infinity64 || x == 0 && y == 0:
		return nan64
	case x == infinity64 || y == 0:
		return sign | infinity64
	case y == infinity64 || x == 0:
		return sign
	}
	ex, mx := unpack64(x)
	ey, my := unpack64(y)
	quotient, rest := bits.Div64(mx<<10, 0, my<<11)
	return double.pack(sign>>63, ex-ey-63, quotient|truth(rest != 0))
}

func sqrt64(x uint64) uint64 {
	switch {
	case isNaN64(x):
		return nan64
	case x&^sign64 == 0 || x == infinity64:
		return x
	case x>>63 == 1:
		return nan64
	}
	exponent, magnitude := unpack64(x)
	if exponent&1 != 0 {
		magnitude, exponent = magnitude<<1, exponent-1
	}
	// The root of magnitude * 2^56 digit by digit, two bits at a time: 55 bits.
	root, rest := uint64(0), uint64(0)
	for i := 0; i < 55; i++ {
		rest = rest<<2 | magnitude>>52&3
		magnitude <<= 2
		magnitude &= 1<<54 - 1
		root <<= 1
		if trial := root<<1 | 1; rest >= trial {
			rest -= trial
			root |= 1
		}
	}
	return double.pack(0, (exponent-56)/2-1, root<<1|truth(rest != 0))
}

// Ways to round to a whole number.
const (
	roundCeil = iota
	roundFloor
	roundTrunc
	roundNearest
)

func round64(x uint64, way int) uint64 {
	if isNaN64(x) {
		return nan64
	}
	field := int(x >> 52 & 0x7ff)
	if field >= 1075 {
		return x
	}
	sign := x & sign64
	up := way == roundCeil && sign == 0 || way == roundFloor && sign != 0
	if field < 1023 { // below one
		one := uint64(0x3ff0000000000000)
		if x&^sign64 != 0 && up || way == roundNearest && x&^sign64 > 0x3fe0000000000000 {
			return sign | one
		}
		return sign
	}
	unit := uint64(1) << uint(1075-field)
	rest := x & (unit - 1)
	whole := x - rest
	switch {
	case rest == 0:
	case up, way == roundNearest && (rest > unit/2 || rest == unit/2 && whole&unit != 0):
		whole += unit // a carry into the exponent is what is wanted
	}
	return whole
}

// less, equal: NaN is neither.
func less64(x, y uint64) bool {
	switch {
	case isNaN64(x) || isNaN64(y) || (x|y)&^sign64 == 0:
		return false
	case x>>63 != y>>63:
		return x>>63 == 1
	case x>>63 == 1:
		return x > y
	}
	return x < y
}

func equal64(x, y uint64) bool {
	return !isNaN64(x) && !isNaN64(y) && (x == y || (x|y)&^sign64 == 0)
}

func min64(x, y uint64) uint64 {
	switch {
	case isNaN64(x) || isNaN64(y):
		return nan64
	case equal64(x, y):
		return x | y // of the zeros, the negative one
	case less64(x, y):
		return x
	}
	return y
}

func max64(x, y uint64) uint64 {
	switch {
	case isNaN64(x) || isNaN64(y):
		return nan64
	case equal64(x, y):
		return x & y
	case less64(x, y):
		return y
	}
	return x
}

// promote makes a 32-bit number a 64-bit one; exact.
func promote(x uint64) uint64 {
	if isNaN32(x) {
		return nan64
	}
	sign, field, fraction := x>>31&1, x>>23&0xff, x&(1<<23-1)
	switch field {
	case 0xff:
		return sign<<63 | infinity64
	case 0:
		return double.pack(sign, -149, fraction)
	}
	return double.pack(sign, int(field)-150, fraction|1<<23)
}

// demote rounds a 64-bit number to a 32-bit one.
func demote(x uint64) uint64 {
	switch {
	case isNaN64(x):
		return nan32
	case x&^sign64 == infinity64:
		return x>>63<<31 | 0x7f800000
	}
	exponent, magnitude := unpack64(x &^ sign64)
	return single.pack(x>>63, exponent, magnitude)
}

// fromInteger converts a 64-bit integer, signed or not, with one rounding.
func (f *format) fromInteger(x uint64, signed bool) uint64 {
	if signed && int64(x) < 0 {
		return f.pack(1, 0, -x)
	}
	return f.pack(0, 0, x)
}

// toInteger cuts a 64-bit number to an integer of a width; if it does not fit,
// the result is the nearest that does, and the code says so.
func toInteger(x uint64, width uint, signed bool) (uint64, abi.Code) {
	if isNaN64(x) {
		return 0, abi.ErrTrapConversion
	}
	negative := x>>63 == 1
	mask := ^uint64(0) >> (64 - width)
	largest := mask
	if signed {
		largest >>= 1
	}
	limit := largest
	if negative {
		limit = 0
		if signed {
			limit = largest + 1
		}
	}
	magnitude, fits := wholePart(x &^ sign64)
	code := abi.OK
	if !fits || magnitude > limit {
		magnitude, code = limit, abi.ErrTrapOverflow
	}
	if negative {
		magnitude = -magnitude
	}
	return magnitude & mask, code
}

// wholePart cuts a positive number; fits is false from 2^64 on.
func wholePart(x uint64) (magnitude uint64, fits bool) {
	if x == infinity64 {
		return 0, false
	}
	exponent, magnitude := unpack64(x)
	switch {
	case exponent > 11:
		return 0, false
	case exponent >= 0:
		return magnitude << uint(exponent), true
	case exponent < -63:
		return 0, true
	}
	return magnitude >> uint(-exponent), true
}
