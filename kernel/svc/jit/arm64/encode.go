// Package arm64 turns instructions of RFC 9669 into machine code of the A64
// instruction set (Arm ARM, DDI 0487, chapter C6). It is the back end of jit
// and decides nothing about safety: what it is given was verified.
//
// encode.go holds the encodings, one function per form; lower.go what each
// eBPF instruction becomes. Nothing allocates.
package arm64

import "math/bits"

// register is a machine register, 0 to 30. Number 31 is the stack pointer or
// zero, by instruction (C1.2.5).
type register uint32

const (
	stackPointer = register(31)
	zero         = register(31)
)

// condition is the condition of a branch (C1.2.4).
type condition uint32

const (
	equal        = condition(0x0)
	notEqual     = condition(0x1)
	higherOrSame = condition(0x2) // unsigned >=
	lower        = condition(0x3) // unsigned <
	higher       = condition(0x8) // unsigned >
	lowerOrSame  = condition(0x9) // unsigned <=
	greaterEqual = condition(0xa) // signed >=
	lessThan     = condition(0xb) // signed <
	greaterThan  = condition(0xc) // signed >
	lessEqual    = condition(0xd) // signed <=
)

// Operations with an immediate or a shifted register; the 32-bit form.
const (
	addImmediate      = 0x11000000 // C6.2.5
	subtractImmediate = 0x51000000
	compareImmediate  = 0x71000000 // SUBS, C6.2.344
	compareNegative   = 0x31000000 // ADDS
	andImmediate      = 0x12000000 // C6.2.12
	orImmediate       = 0x32000000
	xorImmediate      = 0x52000000
	testImmediate     = 0x72000000 // ANDS
	moveNot           = 0x12800000 // MOVN, C6.2.226
	moveZero          = 0x52800000 // MOVZ
	moveKeep          = 0x72800000 // MOVK
	bitFieldSigned    = 0x13000000 // SBFM, C6.2.265
	bitFieldUnsigned  = 0x53000000 // UBFM

	addRegister      = 0x0b000000
	subtractRegister = 0x4b000000
	compareRegister  = 0x6b000000 // SUBS
	andRegister      = 0x0a000000
	orRegister       = 0x2a000000
	xorRegister      = 0x4a000000
	testRegister     = 0x6a000000 // ANDS
	multiplyAdd      = 0x1b000000 // C6.2.213
	multiplySubtract = 0x1b008000
	divideUnsigned   = 0x1ac00800 // zero by zero is zero, C6.2.390
	divideSigned     = 0x1ac00c00
	shiftLeft        = 0x1ac02000 // LSLV, C6.2.211: counts are masked
	shiftRight       = 0x1ac02400
	shiftRightSigned = 0x1ac02800
	swapIn16         = 0x5ac00400 // REV16, C6.2.258
	swapIn32         = 0x5ac00800 // REV, 32-bit form only
	swapIn64         = 0xdac00c00 // REV, 64-bit form only
	returnWord       = 0xd65f03c0 // RET, to x30 (C6.2.254)
)

// width sets the bit that makes an operation a 64-bit one.
func width(operation uint32, is64 bool) uint32 {
	if is64 {
		return operation | 1<<31
	}
	return operation
}

// arithmeticImmediate encodes d = n op value; fits12 tells which values fit.
func arithmeticImmediate(operation uint32, is64 bool, d, n register, value uint64) uint32 {
	word := width(operation, is64) | uint32(n)<<5 | uint32(d)
	if value > 0xfff {
		return word | 1<<22 | uint32(value>>12)<<10
	}
	return word | uint32(value)<<10
}

// fits12 says whether a value is a 12-bit number, shifted by 12 or not.
func fits12(value uint64) bool { return value <= 0xfff || value&0xfff == 0 && value <= 0xfff000 }

// logicalImmediate encodes d = n op mask; fields come from bitMask.
func logicalImmediate(operation uint32, is64 bool, d, n register, fields uint32) uint32 {
	return width(operation, is64) | fields<<10 | uint32(n)<<5 | uint32(d)
}

// bitMask finds N:immr:imms of a logical immediate (DecodeBitMasks, J1.1): an
// element of 2 to 64 bits, repeated, that is a rotated run of ones.
func bitMask(value uint64, is64 bool) (fields uint32, fits bool) {
	if !is64 {
		value = value&0xffffffff | value<<32
	}
	if value == 0 || value == ^uint64(0) {
		return 0, false
	}
	size := uint(64)
	for size > 2 && value == bits.RotateLeft64(value, -int(size/2)) {
		size /= 2
	}
	element := value & (^uint64(0) >> (64 - size))
	ones := uint(bits.OnesCount64(element))
	run := uint64(1)<<ones - 1
	for rotation := uint(0); rotation < size; rotation++ {
		// element = run rotated right by rotation, within size bits
		rotated := run>>rotation | run<<(size-rotation)&(^uint64(0)>>(64-size))
		if rotated != element {
			continue
		}
		imms := uint32(ones-1) | uint32(0x3f)&^uint32(2*size-1)
		n := uint32(0)
		if size == 64 {
			n, imms = 1, uint32(ones-1)
		}
		return n<<12 | uint32(rotation)<<6 | imms, true
	}
	return 0, false
}

// moveWide encodes MOVZ, MOVN or MOVK of 16 bits at position 16*part.
func moveWide(operation uint32, is64 bool, d register, value uint16, part uint32) uint32 {
	return width(operation, is64) | part<<21 | uint32(value)<<5 | uint32(d)
}

// bitField encodes SBFM and UBFM: rotate right by first, up to bit last.
func bitField(operation uint32, is64 bool, d, n register, first, last uint32) uint32 {
	word := width(operation, is64) | first<<16 | last<<10 | uint32(n)<<5 | uint32(d)
	if is64 {
		word |= 1 << 22
	}
	return word
}

// threeRegisters encodes d = n op m.
func threeRegisters(operation uint32, is64 bool, d, n, m register) uint32 {
	return width(operation, is64) | uint32(m)<<16 | uint32(n)<<5 | uint32(d)
}

// fourRegisters encodes d = a op n*m.
func fourRegisters(operation uint32, is64 bool, d, n, m, a register) uint32 {
	return threeRegisters(operation, is64, d, n, m) | uint32(a)<<10
}

// twoRegisters encodes d = op n; the operation carries its width.
func twoRegisters(operation uint32, d, n register) uint32 {
	return operation | uint32(n)<<5 | uint32(d)
}

// Branches; distances count words.

func branch(distance int32) uint32 { return 0x14000000 | uint32(distance)&0x3ffffff }

func branchIf(c condition, distance int32) uint32 {
	return 0x54000000 | uint32(distance)&0x7ffff<<5 | uint32(c)
}

// branchZero encodes CBZ and, with nonZero, CBNZ (C6.2.46).
func branchZero(is64, nonZero bool, n register, distance int32) uint32 {
	word := width(0x34000000, is64) | uint32(distance)&0x7ffff<<5 | uint32(n)
	if nonZero {
		word |= 1 << 24
	}
	return word
}

// branchBit encodes TBZ and, with isSet, TBNZ (C6.2.375).
func branchBit(isSet bool, n register, bit uint32, distance int32) uint32 {
	word := 0x36000000 | bit>>5<<31 | bit&31<<19 | uint32(distance)&0x3fff<<5 | uint32(n)
	if isSet {
		word |= 1 << 24
	}
	return word
}

// Loads and stores (C4.1.94). kind is the opc field.
const (
	accessStore      = 0
	accessLoad       = 1
	accessLoadSigned = 2 // to 64 bits
)

// accessScaled has an offset of 12 bits in units of the size.
func accessScaled(kind, sizeLog uint32, t, base register, offset uint32) uint32 {
	return sizeLog<<30 | 0x39000000 | kind<<22 | offset>>sizeLog<<10 | uint32(base)<<5 | uint32(t)
}

// accessUnscaled has a signed offset of 9 bits.
func accessUnscaled(kind, sizeLog uint32, t, base register, offset int32) uint32 {
	return sizeLog<<30 | 0x38000000 | kind<<22 | uint32(offset)&0x1ff<<12 | uint32(base)<<5 | uint32(t)
}

// accessIndexed adds a register to the base.
func accessIndexed(kind, sizeLog uint32, t, base, index register) uint32 {
	return sizeLog<<30 | 0x38206800 | kind<<22 | uint32(index)<<16 | uint32(base)<<5 | uint32(t)
}
