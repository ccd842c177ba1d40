package verify

import (
	"math"
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Abstract arithmetic at 64 bits. The 32-bit operators are the same ones on
// operands cut or extended to their lower half (arithmetic32 below), so each
// meaning is written once.

// operatorTable maps the operation nibble to its abstract meaning. It is a
// table so that the tests can plant wrong operators and show that the fuzzer
// finds them.
type operatorTable struct {
	binary [16]func(a, b Scalar) Scalar
}

var operators = operatorTable{
	binary: [16]func(a, b Scalar) Scalar{
		bpf.OperationAdd >> 4:  addScalar,
		bpf.OperationSub >> 4:  subScalar,
		bpf.OperationMul >> 4:  mulScalar,
		bpf.OperationDiv >> 4:  divScalar,
		bpf.OperationOr >> 4:   orScalar,
		bpf.OperationAnd >> 4:  andScalar,
		bpf.OperationLsh >> 4:  lshScalar,
		bpf.OperationRsh >> 4:  rshScalar,
		bpf.OperationMod >> 4:  modScalar,
		bpf.OperationXor >> 4:  xorScalar,
		bpf.OperationArsh >> 4: arshScalar,
	},
}

func addScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.add(b.tnum)
	if high, carry := bits.Add64(a.UMax, b.UMax, 0); carry == 0 {
		r.UMin, r.UMax = a.UMin+b.UMin, high
	}
	if low, high := a.SMin+b.SMin, a.SMax+b.SMax; !addOverflows(a.SMin, b.SMin, low) && !addOverflows(a.SMax, b.SMax, high) {
		r.SMin, r.SMax = low, high
	}
	if high := uint64(a.U32Max) + uint64(b.U32Max); high <= math.MaxUint32 {
		r.U32Min, r.U32Max = a.U32Min+b.U32Min, uint32(high)
	}
	if low, high := int64(a.S32Min)+int64(b.S32Min), int64(a.S32Max)+int64(b.S32Max); low >= math.MinInt32 && high <= math.MaxInt32 {
		r.S32Min, r.S32Max = int32(low), int32(high)
	}
	r.sync()
	return r
}

func addOverflows(a, b, sum int64) bool { return (a^sum)&(b^sum) < 0 }

func subScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.sub(b.tnum)
	if a.UMin >= b.UMax {
		r.UMin, r.UMax = a.UMin-b.UMax, a.UMax-b.UMin
	}
	if low, high := a.SMin-b.SMax, a.SMax-b.SMin; !subOverflows(a.SMin, b.SMax, low) && !subOverflows(a.SMax, b.SMin, high) {
		r.SMin, r.SMax = low, high
	}
	if a.U32Min >= b.U32Max {
		r.U32Min, r.U32Max = a.U32Min-b.U32Max, a.U32Max-b.U32Min
	}
	if low, high := int64(a.S32Min)-int64(b.S32Max), int64(a.S32Max)-int64(b.S32Min); low >= math.MinInt32 && high <= math.MaxInt32 {
		r.S32Min, r.S32Max = int32(low), int32(high)
	}
	r.sync()
	return r
}

func subOverflows(a, b, difference int64) bool { return (a^b)&(a^difference) < 0 }

func mulScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.mul(b.tnum)
	if carry, high := bits.Mul64(a.UMax, b.UMax); carry == 0 {
		r.UMin, r.UMax = a.UMin*b.UMin, high
	}
	if carry := uint64(a.U32Max) * uint64(b.U32Max); carry <= math.MaxUint32 {
		r.U32Min, r.U32Max = a.U32Min*b.U32Min, uint32(carry)
	}
	if fits31(a) && fits31(b) {
		w, x, y, z := a.SMin*b.SMin, a.SMin*b.SMax, a.SMax*b.SMin, a.SMax*b.SMax
		r.SMin, r.SMax = min(w, x, y, z), max(w, x, y, z)
	}
	r.sync()
	return r
}

// fits31 says that products of such numbers cannot overflow 64 bits.
func fits31(a Scalar) bool { return a.SMin >= math.MinInt32 && a.SMax <= math.MaxInt32 }

// divScalar: x / 0 is 0 in eBPF.
func divScalar(a, b Scalar) Scalar {
	r := unknownScalar
	switch {
	case b.UMax == 0:
		return constantScalar(0)
	case b.UMin == 0:
		r.UMin, r.UMax = 0, a.UMax
	default:
		r.UMin, r.UMax = a.UMin/b.UMax, a.UMax/b.UMin
	}
	r.sync()
	return r
}

// modScalar: x % 0 is x in eBPF.
func modScalar(a, b Scalar) Scalar {
	r := unknownScalar
	switch {
	case b.UMax == 0 || b.UMin > a.UMax:
		return a
	case b.UMin == 0:
		r.UMax = a.UMax
	default:
		r.UMax = min(a.UMax, b.UMax-1)
	}
	r.sync()
	return r
}

// signedDivide and signedModulo know constants only; the smallest number
// divided by -1 wraps, as it does in the machine.
func signedDivide(a, b Scalar) Scalar {
	if a.IsConstant() && b.IsConstant() {
		return constantScalar(concreteSignedDivide(a.Value, b.Value))
	}
	if b.IsConstant() && b.SMin > 1 {
		return signedScalar(a.SMin/b.SMin, a.SMax/b.SMin)
	}
	return unknownScalar
}

func signedModulo(a, b Scalar) Scalar {
	if a.IsConstant() && b.IsConstant() {
		return constantScalar(concreteSignedModulo(a.Value, b.Value))
	}
	if b.IsConstant() && b.SMin > 1 {
		low, high := -(b.SMin - 1), b.SMin-1
		if a.SMin >= 0 {
			low, high = 0, min(high, a.SMax)
		}
		return signedScalar(low, high)
	}
	return unknownScalar
}

func concreteSignedDivide(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return 0
	case -1:
		return -a
	}
	return uint64(int64(a) / int64(b))
}

func concreteSignedModulo(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return a
	case -1:
		return 0
	}
	return uint64(int64(a) % int64(b))
}

func andScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.and(b.tnum)
	r.UMax = min(a.UMax, b.UMax)
	r.U32Max = min(a.U32Max, b.U32Max)
	r.sync()
	return r
}

func orScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.or(b.tnum)
	r.UMin = max(a.UMin, b.UMin)
	r.U32Min = max(a.U32Min, b.U32Min)
	r.sync()
	return r
}

func xorScalar(a, b Scalar) Scalar {
	r := unknownScalar
	r.tnum = a.tnum.xor(b.tnum)
	r.sync()
	return r
}

// Shifts: counts are masked to the width by the caller, so here they are below 64.

func lshScalar(a, b Scalar) Scalar {
	r := unknownScalar
	if b.IsConstant() {
		count := uint(b.Value)
		r.tnum = a.tnum.lsh(count)
		if a.UMax<<count>>count == a.UMax {
			r.UMin, r.UMax = a.UMin<<count, a.UMax<<count
		}
		if count < 32 && a.U32Max<<count>>count == a.U32Max {
			r.U32Min, r.U32Max = a.U32Min<<count, a.U32Max<<count
		}
		if a.SMin<<count>>count == a.SMin && a.SMax<<count>>count == a.SMax {
			r.SMin, r.SMax = a.SMin<<count, a.SMax<<count
		}
	} else if high := uint(b.UMax); a.UMax<<high>>high == a.UMax {
		r.UMin, r.UMax = a.UMin<<uint(b.UMin), a.UMax<<high
	}
	r.sync()
	return r
}

func rshScalar(a, b Scalar) Scalar {
	r := unknownScalar
	if b.IsConstant() {
		r.tnum = a.tnum.rsh(uint(b.Value))
	}
	r.UMin, r.UMax = a.UMin>>uint(b.UMax), a.UMax>>uint(b.UMin)
	r.sync()
	return r
}

func arshScalar(a, b Scalar) Scalar {
	r := unknownScalar
	low, high := uint(b.UMin), uint(b.UMax)
	if b.IsConstant() {
		r.tnum = a.tnum.arsh(low)
	}
	// A greater count moves a negative number up and a positive one down.
	r.SMin = min(a.SMin>>low, a.SMin>>high)
	r.SMax = max(a.SMax>>low, a.SMax>>high)
	r.sync()
	return r
}

// maskCount makes a shift count what the machine uses: its lowest bits.
func maskCount(b Scalar, width uint64) Scalar {
	if b.UMax < width {
		return b
	}
	return andScalar(b, constantScalar(width-1))
}

// arithmetic64 is the abstract meaning of a binary operation; signed selects
// signed division and modulo.
func arithmetic64(operation uint8, signed bool, a, b Scalar) Scalar {
	switch operation {
	case bpf.OperationMov:
		return b
	case bpf.OperationLsh, bpf.OperationRsh, bpf.OperationArsh:
		b = maskCount(b, 64)
	case bpf.OperationDiv:
		if signed {
			return signedDivide(a, b)
		}
	case bpf.OperationMod:
		if signed {
			return signedModulo(a, b)
		}
	}
	return operators.binary[operation>>4](a, b)
}

// arithmetic32 is the same on lower halves, the result extended with zeros.
func arithmetic32(operation uint8, signed bool, a, b Scalar) Scalar {
	switch operation {
	case bpf.OperationMov:
		return low32(b)
	case bpf.OperationLsh:
		return low32(operators.binary[operation>>4](a, maskCount(low32(b), 32)))
	case bpf.OperationRsh:
		return operators.binary[operation>>4](low32(a), maskCount(low32(b), 32))
	case bpf.OperationArsh:
		return low32(operators.binary[operation>>4](signExtend(a, 32), maskCount(low32(b), 32)))
	case bpf.OperationDiv, bpf.OperationMod:
		if signed {
			return low32(arithmetic64(operation, true, signExtend(a, 32), signExtend(b, 32)))
		}
		return operators.binary[operation>>4](low32(a), low32(b))
	}
	// The lower half of these results depends on the lower halves alone.
	return low32(operators.binary[operation>>4](a, b))
}

// swapBytes is be16..le64 and bswap on the little-endian machine.
func swapBytes(a Scalar, swaps bool, width int32) Scalar {
	if a.IsConstant() {
		return constantScalar(concreteSwap(a.Value, swaps, width))
	}
	if width == 64 {
		if swaps {
			r := unknownScalar
			r.tnum = tnum{bits.ReverseBytes64(a.Value), bits.ReverseBytes64(a.Mask)}
			r.sync()
			return r
		}
		return a
	}
	r := unknownScalar
	shift := uint(64 - width)
	r.tnum = tnum{concreteSwap(a.Value, swaps, width), concreteSwap(a.Mask, swaps, width)}
	r.UMax = ^uint64(0) >> shift
	r.sync()
	return r
}

func concreteSwap(value uint64, swaps bool, width int32) uint64 {
	switch {
	case width == 16 && swaps:
		return uint64(bits.ReverseBytes16(uint16(value)))
	case width == 16:
		return uint64(uint16(value))
	case width == 32 && swaps:
		return uint64(bits.ReverseBytes32(uint32(value)))
	case width == 32:
		return uint64(uint32(value))
	case swaps:
		return bits.ReverseBytes64(value)
	}
	return value
}
