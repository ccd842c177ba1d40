package bpf

import "github.com/kingly-os/go-kernel/kernel/abi"

// The assembler reads what llvm-objdump and Linux's verifier log print:
//
//	; type: net.rx                  comments begin with ';', '#' or '//'
//	r2 = *(u32 *)(r1 + 4)           loads: u8 u16 u32 u64, s8 s16 s32 extend the sign
//	if w3 s< 0x10 goto drop         targets: label, +N, -N, pc+N (slots)
//	*(u16 *)(r10 - 8) = 5           stores of a register or an immediate
//	r1 = 0x1122334455667788 ll      wide load, two slots
//	lock *(u64 *)(r1 + 0) += r2     atomics
//	drop: r0 = 1                    a label may share its line
//	exit
//
// One statement per line. Numbers are decimal or hexadecimal and may be signed.

// labelsInKernel is how many labels Assemble can hold on its stack: 64 labels
// of 12 bytes, under the 1 KB that a local may have without a heap.
const labelsInKernel = 64

// Label is working memory of the assembler: where a name is and what it marks.
type Label struct {
	start, end uint32 // of the name in the text
	slot       int32
}

// Assemble translates text to instructions. On failure place tells line and
// column and out holds nothing of use.
func Assemble(text []byte, out []Instruction) (count int, place Place, code abi.Code) {
	return AssembleWith(text, out, nil)
}

// AssembleWith is Assemble with room for as many labels as the caller brings;
// none means the room of Assemble.
func AssembleWith(text []byte, out []Instruction, labels []Label) (count int, place Place, code abi.Code) {
	var a assembler
	a.text, a.out, a.labels = text, out, labels
	// The first pass learns where labels are, the second knows them all.
	for pass := 0; pass < 2; pass++ {
		a.resolving = pass == 1
		a.at, a.count, a.line, a.lineStart = 0, 0, 1, 0
		a.program()
		if a.code != abi.OK {
			place = Place{Line: a.line, Column: int32(a.failedAt-a.lineStart) + 1, Instruction: -1}
			return 0, place, a.code
		}
	}
	if a.count == 0 {
		return 0, Place{Line: a.line, Column: 1, Instruction: -1}, abi.ErrEmpty
	}
	return a.count, Place{Instruction: -1}, abi.OK
}

// TypeLine returns NAME of a first line `; type: NAME`, or nothing.
func TypeLine(text []byte) []byte {
	const prefix = "type:"
	at := skipBlanks(text, 0)
	if at >= len(text) || text[at] != ';' {
		return nil
	}
	at = skipBlanks(text, at+1)
	if !hasPrefix(text[at:], prefix) {
		return nil
	}
	at = skipBlanks(text, at+len(prefix))
	end := at
	for end < len(text) && (isNameByte(text[end]) || text[end] == '/') {
		end++
	}
	return text[at:end]
}

type assembler struct {
	text      []byte
	out       []Instruction
	labels    []Label
	own       [labelsInKernel]Label // used where the caller brings none
	at        int                   // next byte
	line      int32
	lineStart int
	count     int // slots written
	known     int // labels
	failedAt  int
	code      abi.Code // first failure; everything stops at it
	resolving bool
}

// program reads lines until the end of the text or the first failure.
func (a *assembler) program() {
	for a.code == abi.OK {
		a.blanks()
		if !a.atLineEnd() {
			if !a.label() {
				a.statement()
				a.blanks()
				if a.code == abi.OK && !a.atLineEnd() {
					a.fail(a.at, abi.ErrSyntax)
				}
			}
			if a.code != abi.OK {
				return
			}
			if !a.atLineEnd() {
				continue // a statement follows its label
			}
		}
		for a.at < len(a.text) && a.text[a.at] != '\n' {
			a.at++
		}
		if a.at >= len(a.text) {
			return
		}
		a.at++
		a.line++
		a.lineStart = a.at
	}
}

// atLineEnd says that nothing but a comment is left on the line.
func (a *assembler) atLineEnd() bool {
	if a.at >= len(a.text) {
		return true
	}
	c := a.text[a.at]
	return c == '\n' || c == ';' || c == '#' || c == '/' && a.at+1 < len(a.text) && a.text[a.at+1] == '/'
}

// label takes `NAME:` and remembers it; false leaves the position alone.
func (a *assembler) label() bool {
	end := a.at
	for end < len(a.text) && isNameByte(a.text[end]) {
		end++
	}
	if end == a.at || end >= len(a.text) || a.text[end] != ':' || isDigit(a.text[a.at]) {
		return false
	}
	if !a.resolving {
		switch {
		case a.find(a.text[a.at:end]) >= 0:
			a.fail(a.at, abi.ErrBadValue)
		case !a.remember(Label{start: uint32(a.at), end: uint32(end), slot: int32(a.count)}):
			a.fail(a.at, abi.ErrNoSpace)
		}
	}
	a.at = end + 1
	a.blanks()
	return true
}

// remember stores a label; false if there is no room.
func (a *assembler) remember(label Label) bool {
	switch {
	case a.known < len(a.labels):
		a.labels[a.known] = label
	case len(a.labels) == 0 && a.known < len(a.own):
		a.own[a.known] = label
	default:
		return false
	}
	a.known++
	return true
}

// remembered returns label index; by value, so that a pointer into the
// assembler never gets away and it can live on the stack.
func (a *assembler) remembered(index int) Label {
	if len(a.labels) == 0 {
		return a.own[index]
	}
	return a.labels[index]
}

// find returns the slot a label marks, or -1.
func (a *assembler) find(name []byte) int {
	for index := 0; index < a.known; index++ {
		label := a.remembered(index)
		if equalBytes(a.text[label.start:label.end], name) {
			return int(label.slot)
		}
	}
	return -1
}

// statement reads one instruction.
func (a *assembler) statement() {
	start := a.at
	switch {
	case a.accept("*"):
		a.store()
	case a.word("if"):
		a.conditional()
	case a.word("goto"):
		a.jump(OpcodeGoto)
	case a.word("gotol"):
		a.jump(OpcodeGotoLong)
	case a.word("call"):
		a.call()
	case a.word("callx"):
		destination, _ := a.register(true, false)
		a.emit(start, Instruction{Opcode: OpcodeCallReg, Registers: destination})
	case a.word("exit"):
		a.emit(start, Instruction{Opcode: OpcodeExit})
	case a.word("lock"):
		a.lock()
	case a.peekIsRegister():
		a.assignment()
	default:
		a.fail(start, abi.ErrSyntax)
	}
}

// emit appends one slot.
func (a *assembler) emit(start int, instruction Instruction) {
	if a.code != abi.OK {
		return
	}
	if a.count >= len(a.out) {
		a.fail(start, abi.ErrTooLong)
		return
	}
	a.out[a.count] = instruction
	a.count++
}

// fail keeps the first failure.
func (a *assembler) fail(at int, code abi.Code) {
	if a.code == abi.OK {
		a.code = code
		a.failedAt = at
	}
}

// store reads what follows the first '*' of `*(u8 *)(r1 + 0) = r2`.
func (a *assembler) store() {
	start := a.at
	size, signed := a.pointerType()
	if signed {
		a.fail(start, abi.ErrSyntax)
	}
	base, offset := a.address()
	a.expect("=")
	a.blanks()
	if a.peekIsRegister() {
		source, _ := a.register(true, size != SizeDW)
		a.emit(start, Instruction{Opcode: ClassSTX | ModeMEM | size, Registers: Registers(base, source), Offset: offset})
		return
	}
	immediate := a.immediate32(size == SizeDW)
	a.emit(start, Instruction{Opcode: ClassST | ModeMEM | size, Registers: base, Offset: offset, Immediate: immediate})
}

// conditional reads what follows `if`.
func (a *assembler) conditional() {
	start := a.at
	a.blanks()
	left, is32 := a.register(true, true)
	class := uint8(ClassJMP)
	if is32 {
		class = ClassJMP32
	}
	instruction := Instruction{Opcode: class | a.comparison(), Registers: left}
	a.blanks()
	if a.peekIsRegister() {
		right, _ := a.register(!is32, is32)
		instruction.Opcode |= SourceX
		instruction.Registers = Registers(left, right)
	} else {
		instruction.Immediate = a.immediate32(!is32)
	}
	if !a.word("goto") {
		a.fail(a.at, abi.ErrSyntax)
	}
	distance := a.target()
	instruction.Offset = a.offset16(distance)
	a.emit(start, instruction)
}

// jump reads the target of goto and gotol.
func (a *assembler) jump(opcode uint8) {
	start := a.at
	distance := a.target()
	instruction := Instruction{Opcode: opcode}
	if opcode == OpcodeGoto {
		instruction.Offset = a.offset16(distance)
	} else {
		instruction.Immediate = int32(distance)
	}
	a.emit(start, instruction)
}

// call reads a helper number, `btf N`, `pc+N` or a label.
func (a *assembler) call() {
	start := a.at
	a.blanks()
	instruction := Instruction{Opcode: OpcodeCall}
	switch {
	case a.word("btf"):
		instruction.Registers = Registers(0, CallBTF)
		instruction.Immediate = a.immediate32(false)
	case a.at < len(a.text) && (isDigit(a.text[a.at]) || a.text[a.at] == '-'):
		instruction.Immediate = a.immediate32(false)
	default:
		instruction.Registers = Registers(0, CallLocal)
		instruction.Immediate = int32(a.target())
	}
	a.emit(start, instruction)
}

// target reads where to go, as a distance from the next slot.
func (a *assembler) target() int64 {
	a.blanks()
	start := a.at
	if a.word("pc") {
		start = a.at
	}
	if a.at < len(a.text) && (a.text[a.at] == '+' || a.text[a.at] == '-' || isDigit(a.text[a.at])) {
		distance := a.number()
		a.blanks()
		a.skipSymbol()
		if distance != int64(int32(distance)) {
			a.fail(start, abi.ErrRange)
		}
		return distance
	}
	end := a.at
	for end < len(a.text) && isNameByte(a.text[end]) {
		end++
	}
	if end == a.at {
		a.fail(start, abi.ErrSyntax)
		return 0
	}
	name := a.text[a.at:end]
	a.at = end
	if !a.resolving {
		return 0
	}
	slot := a.find(name)
	if slot < 0 {
		a.fail(start, abi.ErrUnknownName)
		return 0
	}
	return int64(slot - a.count - 1)
}

// skipSymbol passes over `<LBB0_1>`, which llvm-objdump adds to a distance.
func (a *assembler) skipSymbol() {
	if a.at >= len(a.text) || a.text[a.at] != '<' {
		return
	}
	for a.at < len(a.text) && a.text[a.at] != '>' && a.text[a.at] != '\n' {
		a.at++
	}
	a.expect(">")
}

// lock reads `*(u64 *)(r1 + 0) += r2` after the word.
func (a *assembler) lock() {
	start := a.at
	a.expect("*")
	size, signed := a.pointerType()
	if signed || size != SizeW && size != SizeDW {
		a.fail(start, abi.ErrSyntax)
	}
	base, offset := a.address()
	a.blanks()
	operation := int32(-1)
	for _, entry := range lockOperators {
		if a.accept(entry.text) {
			operation = entry.operation
			break
		}
	}
	if operation < 0 {
		a.fail(a.at, abi.ErrSyntax)
	}
	a.blanks()
	source, _ := a.register(true, size == SizeW)
	a.emit(start, Instruction{Opcode: ClassSTX | ModeATOMIC | size, Registers: Registers(base, source), Offset: offset, Immediate: operation})
}
