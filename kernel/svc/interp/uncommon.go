package interp

import (
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// uncommon runs what the fast loop leaves out: rarer arithmetic, comparisons
// and accesses whose region is not known. It returns whether a jump is taken,
// and false in fine when the run must end; m.code then says why.
//
//go:noinline
func (m *Machine) uncommon(e *entry) (taken, fine bool) {
	r := &m.registers
	switch {
	case e.operation >= opLoad:
		return false, m.access(e)
	case e.operation >= opSpecial:
		r[e.destination] = special(e.operation, r[e.destination], r[e.source], e.immediate)
		return false, true
	case e.operation < opPlain:
		m.code = abi.ErrFault
		return false, false
	}
	second := e.immediate
	form := (e.operation - opPlain) >> 4
	if form&1 != 0 {
		second = r[e.source]
	}
	nibble := (e.operation - opPlain) & 0x0f
	switch form >> 1 {
	case 0:
		r[e.destination] = arithmetic64(nibble, r[e.destination], second)
	case 1:
		r[e.destination] = arithmetic32(nibble, uint32(r[e.destination]), uint32(second))
	case 2:
		return compare64(nibble, r[e.destination], second), true
	default:
		return compare32(nibble, uint32(r[e.destination]), uint32(second)), true
	}
	return false, true
}

func arithmetic64(nibble uint8, a, b uint64) uint64 {
	switch nibble << 4 {
	case bpf.OperationAdd:
		return a + b
	case bpf.OperationSub:
		return a - b
	case bpf.OperationMul:
		return a * b
	case bpf.OperationDiv:
		return divide64(a, b)
	case bpf.OperationMod:
		return modulo64(a, b)
	case bpf.OperationOr:
		return a | b
	case bpf.OperationAnd:
		return a & b
	case bpf.OperationXor:
		return a ^ b
	case bpf.OperationLsh:
		return a << (b & 63)
	case bpf.OperationRsh:
		return a >> (b & 63)
	case bpf.OperationArsh:
		return uint64(int64(a) >> (b & 63))
	case bpf.OperationNeg:
		return -a
	}
	return b
}

func arithmetic32(nibble uint8, a, b uint32) uint64 {
	switch nibble << 4 {
	case bpf.OperationAdd:
		return uint64(a + b)
	case bpf.OperationSub:
		return uint64(a - b)
	case bpf.OperationMul:
		return uint64(a * b)
	case bpf.OperationDiv:
		return divide64(uint64(a), uint64(b))
	case bpf.OperationMod:
		return modulo64(uint64(a), uint64(b))
	case bpf.OperationOr:
		return uint64(a | b)
	case bpf.OperationAnd:
		return uint64(a & b)
	case bpf.OperationXor:
		return uint64(a ^ b)
	case bpf.OperationLsh:
		return uint64(a << (b & 31))
	case bpf.OperationRsh:
		return uint64(a >> (b & 31))
	case bpf.OperationArsh:
		return uint64(uint32(int32(a) >> (b & 31)))
	case bpf.OperationNeg:
		return uint64(-a)
	}
	return uint64(b)
}

func compare64(nibble uint8, a, b uint64) bool {
	switch nibble << 4 {
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
	case bpf.JumpSet:
		return a&b != 0
	case bpf.JumpSignedGreater:
		return int64(a) > int64(b)
	case bpf.JumpSignedGreaterEq:
		return int64(a) >= int64(b)
	case bpf.JumpSignedLess:
		return int64(a) < int64(b)
	}
	return int64(a) <= int64(b) // bpf.JumpSignedLessEqual
}

func compare32(nibble uint8, a, b uint32) bool {
	switch nibble << 4 {
	case bpf.JumpSignedGreater, bpf.JumpSignedGreaterEq, bpf.JumpSignedLess, bpf.JumpSignedLessEqual:
		return compare64(nibble, uint64(int64(int32(a))), uint64(int64(int32(b))))
	}
	return compare64(nibble, uint64(a), uint64(b))
}

// special is signed division, moves that extend signs, and byte swaps.
func special(operation uint8, a, b, immediate uint64) uint64 {
	switch operation {
	case opSignedDivide64K:
		return signedDivide64(a, immediate)
	case opSignedDivide64X:
		return signedDivide64(a, b)
	case opSignedDivide32K:
		return signedDivide32(a, immediate)
	case opSignedDivide32X:
		return signedDivide32(a, b)
	case opSignedModulo64K:
		return signedModulo64(a, immediate)
	case opSignedModulo64X:
		return signedModulo64(a, b)
	case opSignedModulo32K:
		return signedModulo32(a, immediate)
	case opSignedModulo32X:
		return signedModulo32(a, b)
	case opMove8:
		return uint64(int64(int8(b)))
	case opMove16:
		return uint64(int64(int16(b)))
	case opMove32:
		return uint64(int64(int32(b)))
	case opMove32From8:
		return uint64(uint32(int32(int8(b))))
	case opMove32From16:
		return uint64(uint32(int32(int16(b))))
	case opBig32:
		return uint64(bits.ReverseBytes32(uint32(a)))
	case opSwap64:
		return bits.ReverseBytes64(a)
	case opCut16:
		return uint64(uint16(a))
	case opCut32:
		return uint64(uint32(a))
	}
	return a // opNothing: le64
}

// access is a load or store of the general kind.
func (m *Machine) access(e *entry) (fine bool) {
	r := &m.registers
	var value uint64
	switch e.operation {
	case opContext:
		value, m.code = contextField(m.context, r[e.source]+e.immediate)
	case opLoad, opLoadSigned:
		value, m.code = m.load(r[e.source]+e.immediate, e.size)
	case opStore:
		m.code = m.store(r[e.destination]+e.immediate, e.size, r[e.source])
		return m.code == abi.OK
	case opStoreK:
		m.code = m.store(r[e.destination]+uint64(int64(int16(e.target))), e.size, e.immediate)
		return m.code == abi.OK
	default:
		m.code = abi.ErrFault
	}
	if m.code != abi.OK {
		return false
	}
	if e.operation == opLoadSigned {
		shift := 64 - uint(e.size)*8
		value = uint64(int64(value<<shift) >> shift)
	}
	r[e.destination] = value
	return true
}

// Division as RFC 9669 section 4.1 has it: x / 0 is 0, x % 0 is x, and the
// smallest number divided by -1 wraps.

func divide64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func modulo64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return a % b
}

func signedDivide64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return 0
	case -1:
		return -a
	}
	return uint64(int64(a) / int64(b))
}

func signedModulo64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return a
	case -1:
		return 0
	}
	return uint64(int64(a) % int64(b))
}

func signedDivide32(a, b uint64) uint64 {
	return uint64(uint32(signedDivide64(uint64(int64(int32(a))), uint64(int64(int32(b))))))
}

func signedModulo32(a, b uint64) uint64 {
	return uint64(uint32(signedModulo64(uint64(int64(int32(a))), uint64(int64(int32(b))))))
}
