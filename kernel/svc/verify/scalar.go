package verify

import "math"

// Scalar is what is known of a number: known bits and four ranges. A concrete
// number is a member if it satisfies all five; each operator is sound by
// itself, so no range depends on another having been brought up to date.
type Scalar struct {
	tnum
	UMin, UMax     uint64
	SMin, SMax     int64
	U32Min, U32Max uint32 // of the lower half
	S32Min, S32Max int32  // of the lower half
}

var unknownScalar = Scalar{
	tnum: tnumUnknown, UMax: math.MaxUint64, SMin: math.MinInt64, SMax: math.MaxInt64,
	U32Max: math.MaxUint32, S32Min: math.MinInt32, S32Max: math.MaxInt32,
}

func constantScalar(value uint64) Scalar {
	return Scalar{
		tnum: tnumConstant(value), UMin: value, UMax: value, SMin: int64(value), SMax: int64(value),
		U32Min: uint32(value), U32Max: uint32(value), S32Min: int32(value), S32Max: int32(value),
	}
}

// signedScalar is every number from low to high.
func signedScalar(low, high int64) Scalar {
	s := unknownScalar
	s.SMin, s.SMax = low, high
	s.sync()
	return s
}

// IsConstant says that the number is known.
func (s *Scalar) IsConstant() bool { return s.Mask == 0 }

// Contains says that value may be the number.
func (s *Scalar) Contains(value uint64) bool {
	low := uint32(value)
	return s.tnum.contains(value) && s.UMin <= value && value <= s.UMax &&
		s.SMin <= int64(value) && int64(value) <= s.SMax &&
		s.U32Min <= low && low <= s.U32Max && s.S32Min <= int32(low) && int32(low) <= s.S32Max
}

// includes says that every member of b is a member of s.
func (s *Scalar) includes(b *Scalar) bool {
	return s.tnum.includes(b.tnum) && s.UMin <= b.UMin && b.UMax <= s.UMax && s.SMin <= b.SMin && b.SMax <= s.SMax &&
		s.U32Min <= b.U32Min && b.U32Max <= s.U32Max && s.S32Min <= b.S32Min && b.S32Max <= s.S32Max
}

// intersect narrows s to what b allows as well; false if nothing is left.
func (s *Scalar) intersect(b *Scalar) bool {
	common, ok := s.tnum.intersect(b.tnum)
	if !ok {
		return false
	}
	s.tnum = common
	s.UMin, s.UMax = max(s.UMin, b.UMin), min(s.UMax, b.UMax)
	s.SMin, s.SMax = max(s.SMin, b.SMin), min(s.SMax, b.SMax)
	s.U32Min, s.U32Max = max(s.U32Min, b.U32Min), min(s.U32Max, b.U32Max)
	s.S32Min, s.S32Max = max(s.S32Min, b.S32Min), min(s.S32Max, b.S32Max)
	return s.sync()
}

// sync lets each part learn from the others. It returns false when no number
// satisfies all of them: the path that led here cannot be taken. Two rounds
// reach the fixed point in nearly every case; stopping early is sound.
func (s *Scalar) sync() bool {
	for round := 0; round < 2; round++ {
		s.rangesFromBits()
		s.rangesFromSign()
		s.lowerFromWhole()
		if !s.wholeFromLower() || !s.ordered() || !s.bitsFromRanges() {
			return false
		}
	}
	s.rangesFromBits()
	return s.ordered()
}

func (s *Scalar) ordered() bool {
	return s.UMin <= s.UMax && s.SMin <= s.SMax && s.U32Min <= s.U32Max && s.S32Min <= s.S32Max
}

func (s *Scalar) rangesFromBits() {
	const sign64, sign32 = uint64(1) << 63, uint32(1) << 31
	s.UMin = max(s.UMin, s.Value)
	s.UMax = min(s.UMax, s.Value|s.Mask)
	s.SMin = max(s.SMin, int64(s.Value|s.Mask&sign64))
	s.SMax = min(s.SMax, int64(s.Value|s.Mask&^sign64))
	value, mask := uint32(s.Value), uint32(s.Mask)
	s.U32Min = max(s.U32Min, value)
	s.U32Max = min(s.U32Max, value|mask)
	s.S32Min = max(s.S32Min, int32(value|mask&sign32))
	s.S32Max = min(s.S32Max, int32(value|mask&^sign32))
}

// rangesFromSign: a range that does not cross the point where the other
// reading wraps is a range in the other reading too.
func (s *Scalar) rangesFromSign() {
	if int64(s.UMin) <= int64(s.UMax) {
		s.SMin, s.SMax = max(s.SMin, int64(s.UMin)), min(s.SMax, int64(s.UMax))
	}
	if uint64(s.SMin) <= uint64(s.SMax) {
		s.UMin, s.UMax = max(s.UMin, uint64(s.SMin)), min(s.UMax, uint64(s.SMax))
	}
	if int32(s.U32Min) <= int32(s.U32Max) {
		s.S32Min, s.S32Max = max(s.S32Min, int32(s.U32Min)), min(s.S32Max, int32(s.U32Max))
	}
	if uint32(s.S32Min) <= uint32(s.S32Max) {
		s.U32Min, s.U32Max = max(s.U32Min, uint32(s.S32Min)), min(s.U32Max, uint32(s.S32Max))
	}
}

// lowerFromWhole: a range shorter than 2^32 that does not wrap in its lower
// half is a range of the lower half.
func (s *Scalar) lowerFromWhole() {
	if s.UMax-s.UMin <= math.MaxUint32 && s.UMin <= s.UMax {
		s.narrowLower(uint32(s.UMin), uint32(s.UMax))
	}
	if uint64(s.SMax)-uint64(s.SMin) <= math.MaxUint32 && s.SMin <= s.SMax {
		s.narrowLower(uint32(s.SMin), uint32(s.SMax))
	}
}

func (s *Scalar) narrowLower(low, high uint32) {
	if low <= high {
		s.U32Min, s.U32Max = max(s.U32Min, low), min(s.U32Max, high)
	}
	if int32(low) <= int32(high) {
		s.S32Min, s.S32Max = max(s.S32Min, int32(low)), min(s.S32Max, int32(high))
	}
}

// wholeFromLower moves the ends of the 64-bit ranges inwards to numbers whose
// lower half is in range; false if there is none.
func (s *Scalar) wholeFromLower() bool {
	const lower = uint64(math.MaxUint32)
	if s.U32Min > s.U32Max {
		return false
	}
	if low := uint32(s.UMin); low < s.U32Min {
		s.UMin = s.UMin&^lower | uint64(s.U32Min)
	} else if low > s.U32Max {
		if s.UMin >= ^lower {
			return false
		}
		s.UMin = s.UMin&^lower + 1<<32 | uint64(s.U32Min)
	}
	if high := uint32(s.UMax); high > s.U32Max {
		s.UMax = s.UMax&^lower | uint64(s.U32Max)
	} else if high < s.U32Min {
		if s.UMax <= lower {
			return false
		}
		s.UMax = s.UMax&^lower - 1<<32 | uint64(s.U32Max)
	}
	if s.SMin >= math.MinInt32 && s.SMax <= math.MaxInt32 {
		s.SMin, s.SMax = max(s.SMin, int64(s.S32Min)), min(s.SMax, int64(s.S32Max))
	}
	return true
}

func (s *Scalar) bitsFromRanges() bool {
	common, ok := s.tnum.intersect(tnumRange(s.UMin, s.UMax))
	if !ok {
		return false
	}
	lower := tnumRange(uint64(s.U32Min), uint64(s.U32Max))
	lower.Mask |= ^uint64(math.MaxUint32)
	lower.Value &= math.MaxUint32
	s.tnum, ok = common.intersect(lower)
	return ok
}

// low32 is the number's lower half, extended with zeros.
func low32(a Scalar) Scalar {
	a.tnum = a.tnum.low32()
	a.UMin, a.UMax = uint64(a.U32Min), uint64(a.U32Max)
	a.SMin, a.SMax = int64(a.U32Min), int64(a.U32Max)
	a.sync()
	return a
}

// signExtend is the number's lowest width bits, extended with copies of their top.
func signExtend(a Scalar, width uint) Scalar {
	shift := 64 - width
	r := unknownScalar
	r.tnum = a.tnum.lsh(shift).arsh(shift)
	bound := int64(1) << (width - 1)
	r.SMin, r.SMax = -bound, bound-1
	if width == 32 {
		r.SMin, r.SMax = int64(a.S32Min), int64(a.S32Max)
	} else if a.SMin >= -bound && a.SMax < bound {
		r.SMin, r.SMax = a.SMin, a.SMax // the extension changes nothing
	}
	r.sync()
	return r
}
