package bpf

import "github.com/kingly-os/go-kernel/kernel/abi"

// Right-hand sides, operands and tokens of the assembler. Tables are searched
// in order: an entry that is a prefix of another comes after it.

type operator struct {
	text      string
	operation int32
}

var lockOperators = [4]operator{{"+=", AtomicAdd}, {"|=", AtomicOr}, {"&=", AtomicAnd}, {"^=", AtomicXor}}

var fetchNames = [4]operator{
	{"atomic_fetch_add", AtomicAdd}, {"atomic_fetch_or", AtomicOr}, {"atomic_fetch_and", AtomicAnd}, {"atomic_fetch_xor", AtomicXor},
}

var comparisonOperators = [11]operator{
	{"s>=", JumpSignedGreaterEq}, {"s<=", JumpSignedLessEqual}, {"s>", JumpSignedGreater}, {"s<", JumpSignedLess},
	{"==", JumpEqual}, {"!=", JumpNotEqual}, {">=", JumpGreaterEqual}, {"<=", JumpLessEqual},
	{">", JumpGreater}, {"<", JumpLess}, {"&", JumpSet},
}

// arithmeticOperator is one compound assignment; signed ones carry offset 1.
type arithmeticOperator struct {
	text      string
	operation uint8
	offset    int16
}

var arithmeticOperators = [13]arithmeticOperator{
	{"s>>=", OperationArsh, 0}, {"s/=", OperationDiv, 1}, {"s%=", OperationMod, 1},
	{"<<=", OperationLsh, 0}, {">>=", OperationRsh, 0},
	{"+=", OperationAdd, 0}, {"-=", OperationSub, 0}, {"*=", OperationMul, 0}, {"/=", OperationDiv, 0},
	{"|=", OperationOr, 0}, {"&=", OperationAnd, 0}, {"%=", OperationMod, 0}, {"^=", OperationXor, 0},
}

type swapName struct {
	text   string
	opcode uint8
	bits   int32
}

var swapNames = [9]swapName{
	{"be16", ClassALU | OperationEnd | SourceX, 16}, {"be32", ClassALU | OperationEnd | SourceX, 32}, {"be64", ClassALU | OperationEnd | SourceX, 64},
	{"le16", ClassALU | OperationEnd, 16}, {"le32", ClassALU | OperationEnd, 32}, {"le64", ClassALU | OperationEnd, 64},
	{"bswap16", ClassALU64 | OperationEnd, 16}, {"bswap32", ClassALU64 | OperationEnd, 32}, {"bswap64", ClassALU64 | OperationEnd, 64},
}

// widePseudo names what a wide load loads, by its source nibble (RFC 9669 section 5.4).
var widePseudo = [WideSourceCount]string{
	"", "map_by_fd", "map_val_fd", "var_addr", "code_addr", "map_by_idx", "map_val_idx",
}

type sizeName struct {
	text   string
	size   uint8
	signed bool
}

var sizeNames = [7]sizeName{
	{"u8", SizeB, false}, {"u16", SizeH, false}, {"u32", SizeW, false}, {"u64", SizeDW, false},
	{"s8", SizeB, true}, {"s16", SizeH, true}, {"s32", SizeW, true},
}

// assignment reads everything that begins with a register.
func (a *assembler) assignment() {
	start := a.at
	destination, is32 := a.register(true, true)
	class := uint8(ClassALU64)
	if is32 {
		class = ClassALU
	}
	a.blanks()
	for _, entry := range arithmeticOperators {
		if !a.accept(entry.text) {
			continue
		}
		a.blanks()
		instruction := Instruction{Opcode: class | entry.operation, Registers: destination, Offset: entry.offset}
		a.emit(start, a.secondOperand(instruction, is32))
		return
	}
	a.expect("=")
	a.blanks()
	a.value(start, destination, is32)
}

// secondOperand adds a register or an immediate.
func (a *assembler) secondOperand(instruction Instruction, is32 bool) Instruction {
	if a.peekIsRegister() {
		source, _ := a.register(!is32, is32)
		instruction.Opcode |= SourceX
		instruction.Registers = Registers(instruction.Destination(), source)
	} else {
		instruction.Immediate = a.immediate32(!is32)
	}
	return instruction
}

// value reads the right side of a plain `=`.
func (a *assembler) value(start int, destination uint8, is32 bool) {
	class := uint8(ClassALU64)
	if is32 {
		class = ClassALU
	}
	switch {
	case a.accept("*"):
		a.load(start, destination, is32)
	case a.accept("("):
		a.signExtend(start, destination, is32, class)
	case a.peekIsRegister():
		source, _ := a.register(!is32, is32)
		a.emit(start, Instruction{Opcode: class | OperationMov | SourceX, Registers: Registers(destination, source)})
	case a.at+1 < len(a.text) && a.text[a.at] == '-' && (a.text[a.at+1] == 'r' || a.text[a.at+1] == 'w'):
		a.at++
		a.sameRegister(destination, !is32, is32)
		a.emit(start, Instruction{Opcode: class | OperationNeg, Registers: destination})
	case a.at < len(a.text) && isNameByte(a.text[a.at]) && !isDigit(a.text[a.at]):
		a.named(start, destination, is32)
	default:
		a.number32or64(start, destination, is32, class)
	}
}

// number32or64 reads `N` or `N ll`.
func (a *assembler) number32or64(start int, destination uint8, is32 bool, class uint8) {
	at := a.at
	value := a.wideNumber()
	if !is32 && a.word("ll") {
		a.wide(start, destination, 0, uint32(value.bits), uint32(value.bits>>32))
		return
	}
	a.emit(start, Instruction{Opcode: class | OperationMov, Registers: destination, Immediate: a.narrow(at, value, !is32)})
}

func (a *assembler) wide(start int, destination, pseudo uint8, low, high uint32) {
	a.emit(start, Instruction{Opcode: OpcodeWideLoad, Registers: Registers(destination, pseudo), Immediate: int32(low)})
	a.emit(start, Instruction{Immediate: int32(high)})
}

// load reads `(u32 *)(r1 + 4)` or `(u8 *)skb[12]` after the '*'.
func (a *assembler) load(start int, destination uint8, is32 bool) {
	size, signed := a.pointerType()
	a.blanks()
	if a.accept("skb[") {
		a.legacyPacketLoad(start, destination, size, signed)
		return
	}
	base, offset := a.address()
	mode := uint8(ModeMEM)
	if signed {
		mode = ModeMEMSX
	}
	if is32 && (signed || size == SizeDW) {
		a.fail(start, abi.ErrSyntax)
	}
	a.emit(start, Instruction{Opcode: ClassLDX | mode | size, Registers: Registers(destination, base), Offset: offset})
}

// legacyPacketLoad reads `12]`, `r1]` or `r1 + 12]`; the result is always in r0.
func (a *assembler) legacyPacketLoad(start int, destination, size uint8, signed bool) {
	if destination != 0 || signed || size == SizeDW {
		a.fail(start, abi.ErrSyntax)
	}
	instruction := Instruction{Opcode: ClassLD | ModeABS | size}
	a.blanks()
	if a.peekIsRegister() {
		source, _ := a.register(true, false)
		instruction.Opcode = ClassLD | ModeIND | size
		instruction.Registers = Registers(0, source)
		a.blanks()
		if a.at < len(a.text) && (a.text[a.at] == '+' || a.text[a.at] == '-') {
			instruction.Immediate = a.immediate32(true)
		}
	} else {
		instruction.Immediate = a.immediate32(true)
	}
	a.expect("]")
	a.emit(start, instruction)
}

// signExtend reads `s8)r2` after the '('.
func (a *assembler) signExtend(start int, destination uint8, is32 bool, class uint8) {
	var width int16
	switch {
	case a.word("s8"):
		width = 8
	case a.word("s16"):
		width = 16
	case a.word("s32") && !is32:
		width = 32
	default:
		a.fail(a.at, abi.ErrSyntax)
	}
	a.expect(")")
	a.blanks()
	source, _ := a.register(!is32, is32)
	a.emit(start, Instruction{Opcode: class | OperationMov | SourceX, Registers: Registers(destination, source), Offset: width})
}

// named reads the right sides that begin with a word: byte swaps, atomics that
// return a value, and wide loads of something only a loader knows.
func (a *assembler) named(start int, destination uint8, is32 bool) {
	for _, entry := range swapNames {
		if a.word(entry.text) {
			a.blanks()
			a.sameRegister(destination, true, false)
			if is32 {
				a.fail(start, abi.ErrSyntax)
			}
			a.emit(start, Instruction{Opcode: entry.opcode, Registers: destination, Immediate: entry.bits})
			return
		}
	}
	for pseudo := 1; pseudo < WideSourceCount; pseudo++ {
		if !is32 && a.word(widePseudo[pseudo]) {
			a.widePseudoLoad(start, destination, uint8(pseudo))
			return
		}
	}
	a.atomicFetch(start, destination, is32)
}

// widePseudoLoad reads `(low)` or `(low, high)` and an optional `ll`.
func (a *assembler) widePseudoLoad(start int, destination, pseudo uint8) {
	a.expect("(")
	a.blanks()
	low := a.immediate32(false)
	high := int32(0)
	a.blanks()
	if a.accept(",") {
		a.blanks()
		high = a.immediate32(false)
	}
	a.expect(")")
	a.word("ll")
	a.wide(start, destination, pseudo, uint32(low), uint32(high))
}

// atomicFetch reads atomic_fetch_OP((u64 *)(r1 + 0), r2), xchg_64(r1 + 0, r2),
// xchg32_32, cmpxchg_64(r1 + 0, r0, r2) and cmpxchg32_32.
func (a *assembler) atomicFetch(start int, destination uint8, is32 bool) {
	size := uint8(SizeDW)
	if is32 {
		size = SizeW
	}
	for _, entry := range fetchNames {
		if !a.word(entry.text) {
			continue
		}
		a.expect("(")
		a.blanks()
		at := a.at
		if read, signed := a.pointerType(); read != size || signed {
			a.fail(at, abi.ErrSyntax)
		}
		base, offset := a.address()
		a.finishAtomic(start, size, base, offset, destination, entry.operation|AtomicFetch)
		return
	}
	operation := int32(AtomicXchg)
	switch {
	case !is32 && a.word("xchg_64"), is32 && a.word("xchg32_32"):
	case !is32 && a.word("cmpxchg_64"), is32 && a.word("cmpxchg32_32"):
		operation = AtomicCmpXhg
	default:
		a.fail(a.at, abi.ErrUnknownName)
		return
	}
	a.expect("(")
	a.blanks()
	base, offset := a.sum()
	if operation == AtomicXchg {
		a.finishAtomic(start, size, base, offset, destination, operation)
		return
	}
	// The comparand and the result are always r0; the new value is the source.
	a.expect(",")
	a.blanks()
	if destination != 0 {
		a.fail(start, abi.ErrSyntax)
	}
	a.sameRegister(0, !is32, is32)
	a.expect(",")
	a.blanks()
	source, _ := a.register(!is32, is32)
	a.expect(")")
	a.emit(start, Instruction{Opcode: ClassSTX | ModeATOMIC | size, Registers: Registers(base, source), Offset: offset, Immediate: operation})
}

func (a *assembler) finishAtomic(start int, size, base uint8, offset int16, destination uint8, operation int32) {
	a.expect(",")
	a.blanks()
	a.sameRegister(destination, size == SizeDW, size == SizeW)
	a.expect(")")
	a.emit(start, Instruction{Opcode: ClassSTX | ModeATOMIC | size, Registers: Registers(base, destination), Offset: offset, Immediate: operation})
}

// pointerType reads `(u32 *)`.
func (a *assembler) pointerType() (size uint8, signed bool) {
	a.expect("(")
	a.blanks()
	for _, entry := range sizeNames {
		if a.word(entry.text) {
			a.blanks()
			a.expect("*")
			a.expect(")")
			return entry.size, entry.signed
		}
	}
	a.fail(a.at, abi.ErrSyntax)
	return SizeDW, false
}

// address reads `(r1 + 4)`.
func (a *assembler) address() (base uint8, offset int16) {
	a.expect("(")
	a.blanks()
	base, offset = a.sum()
	a.expect(")")
	return base, offset
}

// sum reads `r1`, `r1 + 4` or `r1 - 4`.
func (a *assembler) sum() (base uint8, offset int16) {
	base, _ = a.register(true, false)
	a.blanks()
	if a.at < len(a.text) && (a.text[a.at] == '+' || a.text[a.at] == '-') {
		offset = a.offset16(a.number())
	}
	return base, offset
}

// comparison reads the operator of a conditional jump.
func (a *assembler) comparison() uint8 {
	a.blanks()
	for _, entry := range comparisonOperators {
		if a.accept(entry.text) {
			return uint8(entry.operation)
		}
	}
	a.fail(a.at, abi.ErrSyntax)
	return 0
}

func (a *assembler) offset16(value int64) int16 {
	if value != int64(int16(value)) {
		a.fail(a.at, abi.ErrRange)
	}
	return int16(value)
}
