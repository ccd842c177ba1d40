package bpf

import "github.com/kingly-os/go-kernel/kernel/abi"

// The disassembler prints what the assembler reads back to the same bytes:
// numbers in decimal, wide loads in hexadecimal, jumps as distances in slots.

var comparisonText = [16]string{
	JumpEqual >> 4: "==", JumpGreater >> 4: ">", JumpGreaterEqual >> 4: ">=", JumpSet >> 4: "&",
	JumpNotEqual >> 4: "!=", JumpSignedGreater >> 4: "s>", JumpSignedGreaterEq >> 4: "s>=",
	JumpLess >> 4: "<", JumpLessEqual >> 4: "<=", JumpSignedLess >> 4: "s<", JumpSignedLessEqual >> 4: "s<=",
}

var sizeText = [4]string{SizeW >> 3: "32", SizeH >> 3: "16", SizeB >> 3: "8", SizeDW >> 3: "64"}

// Disassemble writes one line per instruction and returns the bytes written.
// It refuses what Decode refuses, naming the slot.
func Disassemble(instructions []Instruction, out []byte) (bytes int, place Place, code abi.Code) {
	p := printer{out: out}
	for index := 0; index < len(instructions); {
		width, code := CheckSlot(instructions, index)
		if code != abi.OK {
			return p.at, Place{Instruction: int32(index)}, code
		}
		p.instruction(instructions, index)
		p.text("\n")
		if p.full {
			return p.at, Place{Instruction: int32(index)}, abi.ErrNoSpace
		}
		index += width
	}
	return p.at, Place{}, abi.OK
}

// DisassembleOne writes the instruction at index, which CheckSlot must have
// found sound, without a line end.
func DisassembleOne(instructions []Instruction, index int, out []byte) (bytes int) {
	p := printer{out: out}
	p.instruction(instructions, index)
	return p.at
}

type printer struct {
	out  []byte
	at   int
	full bool
}

func (p *printer) instruction(instructions []Instruction, index int) {
	instruction := instructions[index]
	switch instruction.Class() {
	case ClassALU, ClassALU64:
		p.arithmetic(instruction)
	case ClassJMP, ClassJMP32:
		p.jump(instruction)
	case ClassLD:
		p.immediateLoad(instructions, index)
	case ClassLDX:
		p.register('r', instruction.Destination())
		p.text(" = ")
		p.memory(instruction, instruction.Source(), instruction.Opcode&ModeMask == ModeMEMSX)
	case ClassST:
		p.memory(instruction, instruction.Destination(), false)
		p.text(" = ")
		p.number(int64(instruction.Immediate))
	case ClassSTX:
		if instruction.Opcode&ModeMask == ModeATOMIC {
			p.atomic(instruction)
			return
		}
		p.memory(instruction, instruction.Destination(), false)
		p.text(" = ")
		p.register('r', instruction.Source())
	}
}

func (p *printer) arithmetic(instruction Instruction) {
	letter := byte('r')
	if instruction.Class() == ClassALU && instruction.Operation() != OperationEnd {
		letter = 'w'
	}
	destination := instruction.Destination()
	p.register(letter, destination)
	switch instruction.Operation() {
	case OperationNeg:
		p.text(" = -")
		p.register(letter, destination)
		return
	case OperationEnd:
		p.text(" = ")
		for _, entry := range swapNames {
			if entry.opcode == instruction.Opcode && entry.bits == instruction.Immediate {
				p.text(entry.text)
			}
		}
		p.text(" ")
		p.register(letter, destination)
		return
	case OperationMov:
		p.text(" = ")
		if instruction.Offset != 0 {
			p.text("(s")
			p.number(int64(instruction.Offset))
			p.text(")")
		}
	default:
		p.text(" ")
		for _, entry := range arithmeticOperators {
			if entry.operation == instruction.Operation() && entry.offset == instruction.Offset {
				p.text(entry.text)
			}
		}
		p.text(" ")
	}
	p.second(instruction, letter)
}

// second prints the second operand of arithmetic and comparisons.
func (p *printer) second(instruction Instruction, letter byte) {
	if instruction.FromRegister() {
		p.register(letter, instruction.Source())
	} else {
		p.number(int64(instruction.Immediate))
	}
}

func (p *printer) jump(instruction Instruction) {
	switch instruction.Opcode {
	case OpcodeGoto:
		p.text("goto ")
		p.distance(int64(instruction.Offset))
	case OpcodeGotoLong:
		p.text("gotol ")
		p.distance(int64(instruction.Immediate))
	case OpcodeExit:
		p.text("exit")
	case OpcodeCallReg:
		p.text("callx ")
		p.register('r', instruction.Destination())
	case OpcodeCall:
		p.text("call ")
		switch instruction.Source() {
		case CallLocal:
			p.text("pc")
			p.distance(int64(instruction.Immediate))
			return
		case CallBTF:
			p.text("btf ")
		}
		p.number(int64(instruction.Immediate))
	default:
		letter := byte('r')
		if instruction.Class() == ClassJMP32 {
			letter = 'w'
		}
		p.text("if ")
		p.register(letter, instruction.Destination())
		p.text(" ")
		p.text(comparisonText[instruction.Operation()>>4])
		p.text(" ")
		p.second(instruction, letter)
		p.text(" goto ")
		p.distance(int64(instruction.Offset))
	}
}

func (p *printer) immediateLoad(instructions []Instruction, index int) {
	instruction := instructions[index]
	if instruction.IsWide() {
		p.register('r', instruction.Destination())
		p.text(" = ")
		low, high := uint32(instruction.Immediate), uint32(instructions[index+1].Immediate)
		pseudo := instruction.Source()
		if pseudo == 0 {
			p.text("0x")
			p.hexadecimal(uint64(high)<<32 | uint64(low))
		} else {
			p.text(widePseudo[pseudo])
			p.text("(")
			p.number(int64(int32(low)))
			if high != 0 {
				p.text(", ")
				p.number(int64(int32(high)))
			}
			p.text(")")
		}
		p.text(" ll")
		return
	}
	p.text("r0 = *(u")
	p.text(sizeText[instruction.Opcode&SizeMask>>3])
	p.text(" *)skb[")
	if instruction.Opcode&ModeMask == ModeIND {
		p.register('r', instruction.Source())
		if instruction.Immediate != 0 {
			p.sum(int64(instruction.Immediate))
		}
	} else {
		p.number(int64(instruction.Immediate))
	}
	p.text("]")
}

func (p *printer) memory(instruction Instruction, base uint8, signed bool) {
	p.text("*")
	p.pointerType(instruction, signed)
	p.text("(")
	p.register('r', base)
	p.sum(int64(instruction.Offset))
	p.text(")")
}

func (p *printer) pointerType(instruction Instruction, signed bool) {
	if signed {
		p.text("(s")
	} else {
		p.text("(u")
	}
	p.text(sizeText[instruction.Opcode&SizeMask>>3])
	p.text(" *)")
}

func (p *printer) atomic(instruction Instruction) {
	letter := byte('r')
	if instruction.Opcode&SizeMask == SizeW {
		letter = 'w'
	}
	source := instruction.Source()
	if instruction.Immediate == AtomicXchg || instruction.Immediate == AtomicCmpXhg {
		p.exchange(instruction, letter)
		return
	}
	if instruction.Immediate&AtomicFetch == 0 {
		p.text("lock ")
		p.memory(instruction, instruction.Destination(), false)
		p.text(" ")
		for _, entry := range lockOperators {
			if entry.operation == instruction.Immediate {
				p.text(entry.text)
			}
		}
		p.text(" ")
		p.register(letter, source)
		return
	}
	p.register(letter, source)
	p.text(" = ")
	for _, entry := range fetchNames {
		if entry.operation|AtomicFetch == instruction.Immediate {
			p.text(entry.text)
		}
	}
	p.text("(")
	p.pointerType(instruction, false)
	p.text("(")
	p.register('r', instruction.Destination())
	p.sum(int64(instruction.Offset))
	p.text("), ")
	p.register(letter, source)
	p.text(")")
}

func (p *printer) exchange(instruction Instruction, letter byte) {
	result := instruction.Source()
	if instruction.Immediate == AtomicCmpXhg {
		result = 0
	}
	p.register(letter, result)
	p.text(" = ")
	if instruction.Immediate == AtomicCmpXhg {
		p.text("cmp")
	}
	if letter == 'w' {
		p.text("xchg32_32(")
	} else {
		p.text("xchg_64(")
	}
	p.register('r', instruction.Destination())
	p.sum(int64(instruction.Offset))
	if instruction.Immediate == AtomicCmpXhg {
		p.text(", ")
		p.register(letter, 0)
	}
	p.text(", ")
	p.register(letter, instruction.Source())
	p.text(")")
}

func (p *printer) text(text string) {
	for index := 0; index < len(text); index++ {
		p.byte(text[index])
	}
}

func (p *printer) byte(c byte) {
	if p.at >= len(p.out) {
		p.full = true
		return
	}
	p.out[p.at] = c
	p.at++
}

func (p *printer) register(letter byte, number uint8) {
	p.byte(letter)
	p.number(int64(number))
}

// sum prints ` + 4` or ` - 4`.
func (p *printer) sum(value int64) {
	if value < 0 {
		p.text(" - ")
		value = -value
	} else {
		p.text(" + ")
	}
	p.number(value)
}

// distance prints a sign even where the number is positive.
func (p *printer) distance(value int64) {
	if value >= 0 {
		p.byte('+')
	}
	p.number(value)
}

func (p *printer) number(value int64) {
	magnitude := uint64(value)
	if value < 0 {
		p.byte('-')
		magnitude = -magnitude
	}
	divisor := uint64(1)
	for magnitude/divisor >= 10 {
		divisor *= 10
	}
	for ; divisor > 0; divisor /= 10 {
		p.byte(byte('0' + magnitude/divisor%10))
	}
}

func (p *printer) hexadecimal(value uint64) {
	const digits = "0123456789abcdef"
	shift := 60
	for shift > 0 && value>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		p.byte(digits[value>>shift&15])
	}
}
