package verify

import "math/bits"

// Known bits of a number ("tnum"): a bit of Mask set means that the bit is
// unknown; the other bits are those of Value. Value & Mask is always zero.
//
// Addition, subtraction and the idea of multiplication follow Vishwanathan,
// Shachnai, Narayana and Nagarakatte, "Sound, Precise, and Fast Abstract
// Interpretation with Tristate Numbers" (CGO 2022). The tests hold every
// operator against all members at small width.
type tnum struct {
	Value uint64
	Mask  uint64
}

func tnumConstant(value uint64) tnum { return tnum{value, 0} }

var tnumUnknown = tnum{0, ^uint64(0)}

// tnumRange is the smallest tnum that holds every number from low to high.
func tnumRange(low, high uint64) tnum {
	differing := bits.Len64(low ^ high)
	if differing == 64 {
		return tnumUnknown
	}
	mask := uint64(1)<<differing - 1
	return tnum{low &^ mask, mask}
}

func (a tnum) contains(value uint64) bool { return value&^a.Mask == a.Value }

// includes says that every member of b is a member of a.
func (a tnum) includes(b tnum) bool { return b.Mask&^a.Mask == 0 && b.Value&^a.Mask == a.Value }

// intersect returns the common members; none if ok is false.
func (a tnum) intersect(b tnum) (common tnum, ok bool) {
	if (a.Value^b.Value)&^a.Mask&^b.Mask != 0 {
		return tnum{}, false
	}
	mask := a.Mask & b.Mask
	return tnum{(a.Value | b.Value) &^ mask, mask}, true
}

func (a tnum) add(b tnum) tnum {
	sumMask := a.Mask + b.Mask
	sumValue := a.Value + b.Value
	carries := (sumMask + sumValue) ^ sumValue
	mask := carries | a.Mask | b.Mask
	return tnum{sumValue &^ mask, mask}
}

func (a tnum) sub(b tnum) tnum {
	difference := a.Value - b.Value
	highest := difference + a.Mask
	lowest := difference - b.Mask
	mask := highest ^ lowest | a.Mask | b.Mask
	return tnum{difference &^ mask, mask}
}

func (a tnum) and(b tnum) tnum {
	value := a.Value & b.Value
	possible := (a.Value | a.Mask) & (b.Value | b.Mask)
	return tnum{value, possible &^ value}
}

func (a tnum) or(b tnum) tnum {
	value := a.Value | b.Value
	return tnum{value, (a.Mask | b.Mask) &^ value}
}

func (a tnum) xor(b tnum) tnum {
	mask := a.Mask | b.Mask
	return tnum{(a.Value ^ b.Value) &^ mask, mask}
}

// mul adds the partial products: known ones in the value, everything an
// unknown bit could add in the mask.
func (a tnum) mul(b tnum) tnum {
	known := a.Value * b.Value
	unknown := tnum{}
	for a.Value != 0 || a.Mask != 0 {
		if a.Value&1 != 0 {
			unknown = unknown.add(tnum{0, b.Mask})
		} else if a.Mask&1 != 0 {
			unknown = unknown.add(tnum{0, b.Value | b.Mask})
		}
		a = a.rsh(1)
		b = b.lsh(1)
	}
	return tnumConstant(known).add(unknown)
}

func (a tnum) lsh(count uint) tnum { return tnum{a.Value << count, a.Mask << count} }

func (a tnum) rsh(count uint) tnum { return tnum{a.Value >> count, a.Mask >> count} }

// arsh copies the top bit, known or not.
func (a tnum) arsh(count uint) tnum {
	return tnum{uint64(int64(a.Value) >> count), uint64(int64(a.Mask) >> count)}
}

// low32 keeps the lower half.
func (a tnum) low32() tnum { return tnum{uint64(uint32(a.Value)), uint64(uint32(a.Mask))} }
