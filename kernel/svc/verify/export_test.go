package verify

import (
	"math"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Mutant is one planted bug of the verifier: historical ones of Linux and
// PREVAIL where there is a name for them.
type Mutant struct {
	Name  string
	plant func()
}

// Plant replaces a table entry and returns how to undo it.
func (m Mutant) Plant() (mend func()) {
	savedOperators, savedRules := operators, rules
	m.plant()
	return func() { operators, rules = savedOperators, savedRules }
}

func mutate(operation uint8, wrong func(a, b Scalar) Scalar) func() {
	return func() { operators.binary[operation>>4] = wrong }
}

// Mutants are what the fuzzer must find.
var Mutants = []Mutant{
	{"or: lower half's bounds cut from the whole's (CVE-2020-27194)", mutate(bpf.OperationOr, func(a, b Scalar) Scalar {
		r := orScalar(a, b)
		r.U32Min, r.U32Max = uint32(max(a.UMin, b.UMin)), uint32(min(a.UMax|b.UMax, math.MaxUint32))
		return r
	})},
	{"and: lower half's bounds from one side (CVE-2021-3490)", mutate(bpf.OperationAnd, func(a, b Scalar) Scalar {
		r := andScalar(a, b)
		r.U32Min = min(a.U32Min, b.U32Min)
		return r
	})},
	{"add: overflow of the unsigned range ignored", mutate(bpf.OperationAdd, func(a, b Scalar) Scalar {
		r := addScalar(a, b)
		if a.UMin+b.UMin <= a.UMax+b.UMax {
			r.UMin, r.UMax = a.UMin+b.UMin, a.UMax+b.UMax
		}
		return r
	})},
	{"sub: borrow ignored", mutate(bpf.OperationSub, func(a, b Scalar) Scalar {
		r := subScalar(a, b)
		r.UMax = min(r.UMax, a.UMax)
		return r
	})},
	{"mul: overflow of the lower half ignored", mutate(bpf.OperationMul, func(a, b Scalar) Scalar {
		r := mulScalar(a, b)
		if low, high := a.U32Min*b.U32Min, a.U32Max*b.U32Max; low <= high {
			r.U32Min, r.U32Max = low, high
		}
		return r
	})},
	{"mod: a zero divisor forgotten", mutate(bpf.OperationMod, func(a, b Scalar) Scalar {
		r := modScalar(a, b)
		if b.UMax > 0 {
			r.UMax = min(r.UMax, b.UMax-1)
		}
		return r
	})},
	{"rsh: count's bounds the wrong way round", mutate(bpf.OperationRsh, func(a, b Scalar) Scalar {
		r := rshScalar(a, b)
		r.UMin, r.UMax = a.UMin>>uint(b.UMin), a.UMax>>uint(b.UMin)
		return r
	})},
	{"arsh: the sign does not follow (CVE-2017-16995 class)", mutate(bpf.OperationArsh, func(a, b Scalar) Scalar {
		return rshScalar(a, b)
	})},
	{"lsh: bits shifted out are forgotten", mutate(bpf.OperationLsh, func(a, b Scalar) Scalar {
		r := lshScalar(a, b)
		if b.IsConstant() && a.UMin<<b.Value <= a.UMax<<b.Value {
			r.UMin, r.UMax = a.UMin<<b.Value, a.UMax<<b.Value
		}
		return r
	})},
	{"xor: unknown bits taken for zero", mutate(bpf.OperationXor, func(a, b Scalar) Scalar {
		r := xorScalar(a, b)
		r.Mask &= a.Mask
		return r
	})},
	{"32-bit results not extended with zeros (PREVAIL 2026)", func() {
		rules.arithmetic32 = func(operation uint8, signed bool, a, b Scalar) Scalar {
			return arithmetic64(operation, signed, a, b)
		}
	}},
	{"32-bit division by the whole divisor (PREVAIL 2026)", func() {
		rules.arithmetic32 = func(operation uint8, signed bool, a, b Scalar) Scalar {
			if operation == bpf.OperationDiv && !signed {
				return divScalar(low32(a), b)
			}
			return arithmetic32(operation, signed, a, b)
		}
	}},
	{"32-bit comparison narrows 64 bits (CVE-2020-8835 class)", func() {
		rules.refine = func(operation uint8, is32 bool, a, b *Scalar) bool { return refine(operation, false, a, b) }
	}},
	{"refinement one too far", func() {
		rules.refine = func(operation uint8, is32 bool, a, b *Scalar) bool {
			if operation == bpf.JumpGreaterEqual {
				operation = bpf.JumpGreater
			}
			return refine(operation, is32, a, b)
		}
	}},
	{"signed comparison taken for unsigned", func() {
		rules.refine = func(operation uint8, is32 bool, a, b *Scalar) bool {
			switch operation {
			case bpf.JumpSignedGreater:
				operation = bpf.JumpGreater
			case bpf.JumpSignedLessEqual:
				operation = bpf.JumpLessEqual
			}
			return refine(operation, is32, a, b)
		}
	}},
	{"bit test teaches every bit", func() {
		rules.refine = func(operation uint8, is32 bool, a, b *Scalar) bool {
			if operation == bpf.JumpSet && !is32 && b.IsConstant() {
				a.tnum = tnum{a.Value | b.Value, a.Mask &^ b.Value}
				return a.sync()
			}
			return refine(operation, is32, a, b)
		}
	}},
	{"pruning ignores ranges (CVE-2023-2163 class)", func() { rules.prune = pruneByKinds }},
	{"packet access one byte too far", func() {
		rules.packetAccess = func(r *Register, offset, size int64) bool {
			first := int64(r.Offset) + offset
			return r.Range > 0 && r.Scalar.SMin >= 0 && first >= 0 && first+size <= int64(r.Range)+1
		}
	}},
	{"packet access before the packet", func() {
		rules.packetAccess = func(r *Register, offset, size int64) bool {
			return r.Scalar.SMin >= 0 && int64(r.Offset)+offset+size <= int64(r.Range)
		}
	}},
	{"every comparison with the end teaches one byte more", func() {
		rules.packetRange = func(r *Register, open bool) (uint16, bool) { return packetRange(r, true) }
	}},
	{"a narrow fill keeps the whole number's low byte only", func() {
		rules.fillNarrow = func(spilled *Scalar, size int) Scalar { return andScalar(*spilled, constantScalar(0xff)) }
	}},
	{"a narrow store keeps the whole number", func() {
		rules.spillNarrow = func(value Scalar, size int) Scalar { return value }
	}},
	{"a moved packet pointer keeps its range", func() { rules.freshID = false }},
	{"arithmetic keeps the link to a copy (stale facts, PREVAIL 2026)", func() { rules.unlinks = false }},
}

// pruneByKinds takes a state for known when kinds agree.
func pruneByKinds(w *Workspace) bool {
	for index := w.firstExplored[w.slot]; index >= 0; index = w.known[index].next {
		same := true
		for number := range w.current.registers {
			old := w.known[index].state.registers[number].Kind
			same = same && (old == KindNone || old == w.current.registers[number].Kind)
		}
		if same {
			return true
		}
	}
	return pruneOrKeep(w)
}
