package verify

import (
	"math"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// What a comparison teaches about its operands. Each function narrows both
// and returns false when no pair of members satisfies it: that branch is dead.
// A false answer must be a proof; nothing here may invent a value.

// jumpNotSet is `(a & b) == 0`, the complement of JumpSet; it has no opcode.
const jumpNotSet = 0xf0

// complement is the comparison that holds where the given one does not.
var complement = [16]uint8{
	bpf.JumpEqual >> 4:           bpf.JumpNotEqual,
	bpf.JumpNotEqual >> 4:        bpf.JumpEqual,
	bpf.JumpGreater >> 4:         bpf.JumpLessEqual,
	bpf.JumpGreaterEqual >> 4:    bpf.JumpLess,
	bpf.JumpLess >> 4:            bpf.JumpGreaterEqual,
	bpf.JumpLessEqual >> 4:       bpf.JumpGreater,
	bpf.JumpSignedGreater >> 4:   bpf.JumpSignedLessEqual,
	bpf.JumpSignedGreaterEq >> 4: bpf.JumpSignedLess,
	bpf.JumpSignedLess >> 4:      bpf.JumpSignedGreaterEq,
	bpf.JumpSignedLessEqual >> 4: bpf.JumpSignedGreater,
	bpf.JumpSet >> 4:             jumpNotSet,
	jumpNotSet >> 4:              bpf.JumpSet,
}

// refine narrows a and b by `a OP b`, on 64 bits or on the lower halves.
func refine(operation uint8, is32 bool, a, b *Scalar) bool {
	switch operation {
	case bpf.JumpLess, bpf.JumpLessEqual, bpf.JumpSignedLess, bpf.JumpSignedLessEqual:
		// a < b is b > a
		return refine(mirrored(operation), is32, b, a)
	case bpf.JumpEqual:
		if is32 {
			return refineEqual32(a, b)
		}
		if !a.intersect(b) {
			return false
		}
		*b = *a
		return true
	case bpf.JumpNotEqual:
		return refineNotEqual(is32, a, b) && refineNotEqual(is32, b, a)
	case bpf.JumpSet:
		return refineSet(is32, a, b)
	case jumpNotSet:
		return refineNotSet(is32, a, b) && refineNotSet(is32, b, a)
	}
	if is32 {
		return refineGreater32(operation, a, b) && a.sync() && b.sync()
	}
	return refineGreater64(operation, a, b) && a.sync() && b.sync()
}

func mirrored(operation uint8) uint8 {
	switch operation {
	case bpf.JumpLess:
		return bpf.JumpGreater
	case bpf.JumpLessEqual:
		return bpf.JumpGreaterEqual
	case bpf.JumpSignedLess:
		return bpf.JumpSignedGreater
	}
	return bpf.JumpSignedGreaterEq
}

// refineGreater64 narrows by >, >=, s> and s>=.
func refineGreater64(operation uint8, a, b *Scalar) bool {
	switch operation {
	case bpf.JumpGreater:
		if b.UMin == math.MaxUint64 || a.UMax == 0 {
			return false
		}
		a.UMin, b.UMax = max(a.UMin, b.UMin+1), min(b.UMax, a.UMax-1)
	case bpf.JumpGreaterEqual:
		a.UMin, b.UMax = max(a.UMin, b.UMin), min(b.UMax, a.UMax)
	case bpf.JumpSignedGreater:
		if b.SMin == math.MaxInt64 || a.SMax == math.MinInt64 {
			return false
		}
		a.SMin, b.SMax = max(a.SMin, b.SMin+1), min(b.SMax, a.SMax-1)
	case bpf.JumpSignedGreaterEq:
		a.SMin, b.SMax = max(a.SMin, b.SMin), min(b.SMax, a.SMax)
	}
	return a.ordered() && b.ordered()
}

func refineGreater32(operation uint8, a, b *Scalar) bool {
	switch operation {
	case bpf.JumpGreater:
		if b.U32Min == math.MaxUint32 || a.U32Max == 0 {
			return false
		}
		a.U32Min, b.U32Max = max(a.U32Min, b.U32Min+1), min(b.U32Max, a.U32Max-1)
	case bpf.JumpGreaterEqual:
		a.U32Min, b.U32Max = max(a.U32Min, b.U32Min), min(b.U32Max, a.U32Max)
	case bpf.JumpSignedGreater:
		if b.S32Min == math.MaxInt32 || a.S32Max == math.MinInt32 {
			return false
		}
		a.S32Min, b.S32Max = max(a.S32Min, b.S32Min+1), min(b.S32Max, a.S32Max-1)
	case bpf.JumpSignedGreaterEq:
		a.S32Min, b.S32Max = max(a.S32Min, b.S32Min), min(b.S32Max, a.S32Max)
	}
	return a.ordered() && b.ordered()
}

// refineEqual32: the lower halves are equal; the upper halves say nothing.
func refineEqual32(a, b *Scalar) bool {
	const upper = ^uint64(math.MaxUint32)
	common, ok := a.tnum.low32().intersect(b.tnum.low32())
	if !ok {
		return false
	}
	a.tnum = tnum{a.Value&upper | common.Value, a.Mask&upper | common.Mask}
	b.tnum = tnum{b.Value&upper | common.Value, b.Mask&upper | common.Mask}
	a.U32Min, a.U32Max = max(a.U32Min, b.U32Min), min(a.U32Max, b.U32Max)
	a.S32Min, a.S32Max = max(a.S32Min, b.S32Min), min(a.S32Max, b.S32Max)
	b.U32Min, b.U32Max, b.S32Min, b.S32Max = a.U32Min, a.U32Max, a.S32Min, a.S32Max
	return a.sync() && b.sync()
}

// refineNotEqual cuts a constant b off the ends of a's ranges.
func refineNotEqual(is32 bool, a, b *Scalar) bool {
	if is32 {
		if b.U32Min != b.U32Max {
			return true
		}
		value := b.U32Min
		if a.U32Min == a.U32Max && a.U32Min == value {
			return false
		}
		if a.U32Min == value {
			a.U32Min++
		} else if a.U32Max == value {
			a.U32Max--
		}
		if a.S32Min == int32(value) && a.S32Min < a.S32Max {
			a.S32Min++
		} else if a.S32Max == int32(value) && a.S32Min < a.S32Max {
			a.S32Max--
		}
		return a.sync()
	}
	if !b.IsConstant() {
		return true
	}
	value := b.Value
	if a.UMin == a.UMax && a.UMin == value {
		return false
	}
	if a.UMin == value {
		a.UMin++
	} else if a.UMax == value {
		a.UMax--
	}
	if a.SMin == int64(value) && a.SMin < a.SMax {
		a.SMin++
	} else if a.SMax == int64(value) && a.SMin < a.SMax {
		a.SMax--
	}
	return a.sync()
}

// refineSet: some bit is set in both.
func refineSet(is32 bool, a, b *Scalar) bool {
	common := a.tnum.and(b.tnum)
	if is32 {
		common = common.low32()
	}
	if common.Value == 0 && common.Mask == 0 {
		return false
	}
	// Only where a single bit is possible do we learn which.
	possible := common.Value | common.Mask
	if possible&(possible-1) != 0 {
		return true
	}
	a.tnum = tnum{a.Value | possible, a.Mask &^ possible}
	b.tnum = tnum{b.Value | possible, b.Mask &^ possible}
	return a.sync() && b.sync()
}

// refineNotSet: bits that b surely has, a has not.
func refineNotSet(is32 bool, a, b *Scalar) bool {
	known := b.Value
	if is32 {
		known &= math.MaxUint32
	}
	if a.Value&known != 0 {
		return false
	}
	a.Mask &^= known
	return a.sync()
}
