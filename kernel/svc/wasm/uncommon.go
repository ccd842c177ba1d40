// Operations outside the dispatch's fast part: division, counting bits, all
// floating point, every conversion.

package wasm

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// uncommon computes one operation on two registers.
func uncommon(operation uint16, a, b uint64) (uint64, abi.Code) {
	switch {
	case operation == opUnreachable:
		return 0, abi.ErrTrapUnreachable
	case operation >= i32Clz && operation <= i32Rotr:
		return integer32(operation, uint32(a), uint32(b))
	case operation >= i64Clz && operation <= i64Rotr:
		return integer64(operation, a, b)
	case operation >= f32Eq && operation <= f32Ge:
		return compare64(operation-f32Eq, promote(a), promote(b)), abi.OK
	case operation >= f64Eq && operation <= f64Ge:
		return compare64(operation-f64Eq, a, b), abi.OK
	case operation >= f32Abs && operation <= f32Copysign:
		return float32Operation(operation, a, b), abi.OK
	case operation >= f64Abs && operation <= f64Copysign:
		return float64Operation(operation, a, b), abi.OK
	case operation >= saturateFirst && operation < saturateFirst+8:
		result, _ := truncate(operation-saturateFirst, a)
		return result, abi.OK
	case operation >= i32TruncF32S && operation <= i32TruncF64U:
		return truncate(operation-i32TruncF32S, a)
	case operation >= i64TruncF32S && operation <= i64TruncF64U:
		return truncate(operation-i64TruncF32S+4, a)
	}
	return convert(operation, a), abi.OK
}

func integer32(operation uint16, x, y uint32) (uint64, abi.Code) {
	switch operation {
	case i32Clz:
		return uint64(bits.LeadingZeros32(x)), abi.OK
	case i32Ctz:
		return uint64(bits.TrailingZeros32(x)), abi.OK
	case i32Popcnt:
		return uint64(bits.OnesCount32(x)), abi.OK
	case i32Rotl:
		return uint64(bits.RotateLeft32(x, int(y&31))), abi.OK
	case i32Rotr:
		return uint64(bits.RotateLeft32(x, -int(y&31))), abi.OK
	}
	if y == 0 {
		return 0, abi.ErrTrapDivide
	}
	switch operation {
	case i32DivU:
		return uint64(x / y), abi.OK
	case i32RemU:
		return uint64(x % y), abi.OK
	}
	if y == 0xffffffff { // the one division that can overflow
		switch {
		case operation == i32RemS:
			return 0, abi.OK
		case x == sign32:
			return 0, abi.ErrTrapOverflow
		}
		return uint64(-x), abi.OK
	}
	if operation == i32DivS {
		return uint64(uint32(int32(x) / int32(y))), abi.OK
	}
	return uint64(uint32(int32(x) % int32(y))), abi.OK
}

func integer64(operation uint16, x, y uint64) (uint64, abi.Code) {
	switch operation {
	case i64Clz:
		return uint64(bits.LeadingZeros64(x)), abi.OK
	case i64Ctz:
		return uint64(bits.TrailingZeros64(x)), abi.OK
	case i64Popcnt:
		return uint64(bits.OnesCount64(x)), abi.OK
	case i64Rotl:
		return bits.RotateLeft64(x, int(y&63)), abi.OK
	case i64Rotr:
		return bits.RotateLeft64(x, -int(y&63)), abi.OK
	}
	if y == 0 {
		return 0, abi.ErrTrapDivide
	}
	switch operation {
	case i64DivU:
		return x / y, abi.OK
	case i64RemU:
		return x % y, abi.OK
	}
	if y == ^uint64(0) {
		switch {
		case operation == i64RemS:
			return 0, abi.OK
		case x == sign64:
			return 0, abi.ErrTrapOverflow
		}
		return -x, abi.OK
	}
	if operation == i64DivS {
		return uint64(int64(x) / int64(y)), abi.OK
	}
	return uint64(int64(x) % int64(y)), abi.OK
}

// compare64 takes the comparison in the order eq ne lt gt le ge.
func compare64(which uint16, x, y uint64) uint64 {
	switch which {
	case 0:
		return truth(equal64(x, y))
	case 1:
		return truth(!equal64(x, y))
	case 2:
		return truth(less64(x, y))
	case 3:
		return truth(less64(y, x))
	case 4:
		return truth(less64(x, y) || equal64(x, y))
	}
	return truth(less64(y, x) || equal64(x, y))
}

// float32Operation does sign operations on the bits; a NaN keeps its payload
// there, as the language wants. The rest is done in 64 bits.
func float32Operation(operation uint16, a, b uint64) uint64 {
	switch operation {
	case f32Abs:
		return a &^ sign32
	case f32Neg:
		return a ^ sign32
	case f32Copysign:
		return a&^sign32 | b&sign32
	}
	return demote(float64Operation(operation-f32Abs+f64Abs, promote(a), promote(b)))
}

func float64Operation(operation uint16, a, b uint64) uint64 {
	switch operation {
	case f64Abs:
		return a &^ sign64
	case f64Neg:
		return a ^ sign64
	case f64Ceil, f64Floor, f64Trunc, f64Nearest:
		return round64(a, int(operation-f64Ceil))
	case f64Sqrt:
		return sqrt64(a)
	case f64Add:
		return add64(a, b)
	case f64Sub:
		return add64(a, b^sign64)
	case f64Mul:
		return mul64(a, b)
	case f64Div:
		return div64(a, b)
	case f64Min:
		return min64(a, b)
	case f64Max:
		return max64(a, b)
	}
	return a&^sign64 | b&sign64 // copysign
}

// truncate takes the conversion in the order of the binary format: to 32 bits
// before 64, from single before double, signed before unsigned.
func truncate(which uint16, a uint64) (uint64, abi.Code) {
	if which&2 == 0 {
		a = promote(a)
	}
	width := uint(32)
	if which >= 4 {
		width = 64
	}
	return toInteger(a, width, which&1 == 0)
}

// convert holds what cannot trap.
func convert(operation uint16, a uint64) uint64 {
	switch operation {
	case f32ConvertI32S:
		return single.fromInteger(uint64(int64(int32(a))), true)
	case f32ConvertI32U:
		return single.fromInteger(uint64(uint32(a)), false)
	case f32ConvertI64S:
		return single.fromInteger(a, true)
	case f32ConvertI64U:
		return single.fromInteger(a, false)
	case f64ConvertI32S:
		return double.fromInteger(uint64(int64(int32(a))), true)
	case f64ConvertI32U:
		return double.fromInteger(uint64(uint32(a)), false)
	case f64ConvertI64S:
		return double.fromInteger(a, true)
	case f64ConvertI64U:
		return double.fromInteger(a, false)
	case f32DemoteF64:
		return demote(a)
	case f64PromoteF32:
		return promote(a)
	case i32Extend8S:
		return uint64(uint32(int8(a)))
	case i32Extend16S:
		return uint64(uint32(int16(a)))
	case i64Extend8S:
		return uint64(int8(a))
	case i64Extend16S:
		return uint64(int16(a))
	}
	return a // the reinterpretations: registers hold bits
}
