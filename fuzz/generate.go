package fuzz

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Generator writes programs that look like filters: it keeps a rough model of
// what each register holds, mostly respects it, and sometimes does not. About
// half of what it writes is accepted; near misses find the bugs.
type Generator struct {
	source   *Source
	out      []bpf.Instruction
	count    int
	numbers  uint16 // registers that hold numbers
	packets  uint16 // registers that hold packet pointers
	spilled  uint64 // stack slots that hold numbers
	checked  int    // bytes of packet checked against the end, from r2 on
	open     [8]int // jumps whose target is not chosen yet
	openUsed int
	out1     [32]int // jumps to the block that drops
	outUsed  int
}

// Registers with a fixed role in generated programs.
const (
	registerPacket = 2
	registerEnd    = 3
)

// generateSlotsMax keeps paths few enough for thousands of programs a second.
const generateSlotsMax = 80

// Generate writes a program and returns its length in slots.
func (g *Generator) Generate(source *Source, out []bpf.Instruction) int {
	*g = Generator{source: source, out: out[:min(len(out), generateSlotsMax)]}
	g.prologue()
	steps := 3 + source.Below(16)
	for step := 0; step < steps && g.count < len(g.out)-16; step++ {
		g.step()
		if g.openUsed > 0 && source.OneIn(3) {
			g.close()
		}
	}
	g.epilogue()
	return g.count
}

func (g *Generator) emit(instruction bpf.Instruction) {
	if g.count < len(g.out) {
		g.out[g.count] = instruction
		g.count++
	}
}

// prologue loads the packet's ends and gives some registers numbers.
func (g *Generator) prologue() {
	s := g.source
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | bpf.SizeW, Registers: bpf.Registers(registerPacket, 1)})
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | bpf.SizeW, Registers: bpf.Registers(registerEnd, 1), Offset: 4})
	g.packets = 1 << registerPacket
	for _, register := range [...]uint8{5, 7, 8} {
		if s.OneIn(2) {
			g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | bpf.SizeW, Registers: bpf.Registers(register, 1), Offset: contextOffsets[s.Below(4)]})
		} else {
			g.constant(register)
		}
		g.numbers |= 1 << register
	}
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMove, Registers: 0, Immediate: int32(s.Below(5))})
	g.numbers |= 1
	if !s.OneIn(6) {
		g.check()
	}
}

var contextOffsets = [...]int16{12, 16, 24, 28}

func (g *Generator) constant(register uint8) {
	value := g.source.Number()
	if value == uint64(int64(int32(value))) {
		g.emit(bpf.Instruction{Opcode: bpf.OpcodeMove, Registers: register, Immediate: int32(value)})
		return
	}
	if g.count+2 > len(g.out) {
		return
	}
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeWideLoad, Registers: register, Immediate: int32(uint32(value))})
	g.emit(bpf.Instruction{Immediate: int32(uint32(value >> 32))})
}

// number picks a register that holds a number, or now and then any.
func (g *Generator) number() uint8 { return g.pick(g.numbers, 120) }

func (g *Generator) pick(set uint16, carelessOneIn int) uint8 {
	if set == 0 || g.source.OneIn(carelessOneIn) {
		return uint8(g.source.Below(10))
	}
	start := g.source.Below(10)
	for offset := 0; offset < 10; offset++ {
		if register := (start + offset) % 10; set>>register&1 != 0 {
			return uint8(register)
		}
	}
	return 0
}

// target picks a register to overwrite with a number: not the context and not
// the packet's ends, nearly always.
func (g *Generator) target() uint8 {
	register := [...]uint8{0, 4, 5, 6, 7, 8, 9}[g.source.Below(7)]
	if g.source.OneIn(150) {
		register = uint8(g.source.Below(10))
	}
	return register
}

func (g *Generator) isNumber(register uint8) {
	g.numbers |= 1 << register
	g.packets &^= 1 << register
}

func (g *Generator) step() {
	switch g.source.Below(22) {
	case 20:
		g.derivedStack()
	case 21:
		g.spilledPointer()
	case 0, 1, 2, 3, 4:
		g.arithmetic()
	case 5, 6, 7, 8:
		g.branch()
	case 9, 10, 11:
		g.packetLoad()
	case 12:
		g.check()
	case 13, 14:
		g.variable()
	case 15:
		g.copyNumber()
	case 16, 17:
		g.stack()
	case 18:
		g.packetStore()
	default:
		register := g.target()
		g.constant(register)
		g.isNumber(register)
	}
}

var binaryOperations = [...]uint8{
	bpf.OperationAdd, bpf.OperationSub, bpf.OperationMul, bpf.OperationDiv, bpf.OperationOr, bpf.OperationAnd,
	bpf.OperationLsh, bpf.OperationRsh, bpf.OperationMod, bpf.OperationXor, bpf.OperationArsh, bpf.OperationAnd, bpf.OperationAdd, bpf.OperationRsh,
}

func (g *Generator) arithmetic() {
	s := g.source
	class := uint8(bpf.ClassALU64)
	width := 64
	if s.OneIn(2) {
		class, width = bpf.ClassALU, 32
	}
	register := g.number()
	switch s.Below(12) {
	case 0:
		swap := [...]uint8{bpf.ClassALU | bpf.OperationEnd, bpf.ClassALU | bpf.OperationEnd | bpf.SourceX, bpf.ClassALU64 | bpf.OperationEnd}[s.Below(3)]
		g.emit(bpf.Instruction{Opcode: swap, Registers: register, Immediate: [...]int32{16, 32, 64}[s.Below(3)]})
		return
	case 1:
		g.emit(bpf.Instruction{Opcode: class | bpf.OperationNeg, Registers: register})
		return
	case 2:
		extension := [...]int16{8, 16, 32}[s.Below(width/32+1)]
		target := g.target()
		g.emit(bpf.Instruction{Opcode: class | bpf.OperationMov | bpf.SourceX, Registers: bpf.Registers(target, register), Offset: extension})
		g.isNumber(target)
		return
	}
	operation := binaryOperations[s.Below(len(binaryOperations))]
	instruction := bpf.Instruction{Opcode: class | operation, Registers: register}
	if (operation == bpf.OperationDiv || operation == bpf.OperationMod) && s.OneIn(3) {
		instruction.Offset = 1
	}
	if s.OneIn(2) {
		instruction.Opcode |= bpf.SourceX
		instruction.Registers = bpf.Registers(register, g.number())
	} else {
		instruction.Immediate = int32(s.Number())
		switch operation {
		case bpf.OperationLsh, bpf.OperationRsh, bpf.OperationArsh:
			instruction.Immediate = int32(s.Below(width))
		case bpf.OperationDiv, bpf.OperationMod:
			if instruction.Immediate == 0 {
				instruction.Immediate = 3
			}
		}
	}
	g.emit(instruction)
}

var comparisons = [...]uint8{
	bpf.JumpEqual, bpf.JumpGreater, bpf.JumpGreaterEqual, bpf.JumpSet, bpf.JumpNotEqual, bpf.JumpSignedGreater,
	bpf.JumpSignedGreaterEq, bpf.JumpLess, bpf.JumpLessEqual, bpf.JumpSignedLess, bpf.JumpSignedLessEqual,
}

// branch opens a conditional jump whose target is chosen later, or drops.
func (g *Generator) branch() {
	s := g.source
	class := uint8(bpf.ClassJMP)
	if s.OneIn(2) {
		class = bpf.ClassJMP32
	}
	left := g.number()
	instruction := bpf.Instruction{Opcode: class | comparisons[s.Below(len(comparisons))], Registers: left}
	if s.OneIn(3) {
		instruction.Opcode |= bpf.SourceX
		instruction.Registers = bpf.Registers(left, g.number())
	} else {
		instruction.Immediate = int32(s.Number())
	}
	g.jump(instruction, s.OneIn(3))
}

// jump emits a jump to the dropping block or to a place chosen later.
func (g *Generator) jump(instruction bpf.Instruction, drops bool) {
	at := g.count
	g.emit(instruction)
	if drops && g.outUsed < len(g.out1) {
		g.out1[g.outUsed] = at
		g.outUsed++
		return
	}
	if g.openUsed == len(g.open) {
		g.close()
	}
	g.open[g.openUsed] = at
	g.openUsed++
}

// close ends one open branch here.
func (g *Generator) close() {
	g.openUsed--
	at := g.open[g.openUsed]
	g.out[at].Offset = int16(g.count - at - 1)
}

// check compares a pointer with the end in one of the shapes compilers use.
func (g *Generator) check() {
	s := g.source
	bytes := [...]int{1, 2, 8, 14, 18, 34, 38, 54, 60}[s.Below(9)]
	register := uint8(4)
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(register, registerPacket)})
	g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAdd, Registers: register, Immediate: int32(bytes)})
	g.compareEnd(register)
	g.numbers &^= 1 << register
	g.checked = max(g.checked, bytes)
}

// compareEnd leaves for the dropping block unless the register is not behind
// the end (or strictly before it).
func (g *Generator) compareEnd(register uint8) {
	forward, backward := bpf.Registers(register, registerEnd), bpf.Registers(registerEnd, register)
	shapes := [...]bpf.Instruction{
		{Opcode: bpf.ClassJMP | bpf.JumpGreater | bpf.SourceX, Registers: forward},
		{Opcode: bpf.ClassJMP | bpf.JumpGreater | bpf.SourceX, Registers: forward},
		{Opcode: bpf.ClassJMP | bpf.JumpGreaterEqual | bpf.SourceX, Registers: forward},
		{Opcode: bpf.ClassJMP | bpf.JumpLess | bpf.SourceX, Registers: backward},
		{Opcode: bpf.ClassJMP | bpf.JumpLessEqual | bpf.SourceX, Registers: backward},
		{Opcode: bpf.ClassJMP | bpf.JumpLess | bpf.SourceX, Registers: forward}, // the wrong way round
	}
	shape := g.source.Below(len(shapes) - 1)
	if g.source.OneIn(25) {
		shape = len(shapes) - 1
	}
	g.jump(shapes[shape], !g.source.OneIn(20))
}

var sizes = [...]uint8{bpf.SizeB, bpf.SizeH, bpf.SizeW, bpf.SizeDW}

// packetLoad reads near the edge of what was checked.
func (g *Generator) packetLoad() {
	s := g.source
	size := sizes[s.Below(4)]
	opcode := bpf.ClassLDX | bpf.ModeMEM | size
	if size != bpf.SizeDW && s.OneIn(4) {
		opcode = bpf.ClassLDX | bpf.ModeMEMSX | size
	}
	target := g.target()
	g.emit(bpf.Instruction{Opcode: opcode, Registers: bpf.Registers(target, registerPacket), Offset: g.near(bpf.SizeBytes(size))})
	g.isNumber(target)
}

// near is an offset inside the checked bytes, at their edge, or just past it.
func (g *Generator) near(size int) int16 {
	last := g.checked - size
	if g.source.OneIn(60) {
		return -1 - int16(g.source.Below(8))
	}
	if g.source.OneIn(25) {
		return int16(last + g.source.Below(3))
	}
	if last <= 0 {
		return 0
	}
	if g.source.OneIn(2) {
		return int16(last)
	}
	return int16(g.source.Below(last + 1))
}

func (g *Generator) packetStore() {
	s := g.source
	size := sizes[s.Below(4)]
	instruction := bpf.Instruction{Opcode: bpf.ClassST | bpf.ModeMEM | size, Registers: registerPacket, Offset: g.near(bpf.SizeBytes(size)), Immediate: int32(s.Number())}
	if s.OneIn(2) {
		instruction.Opcode = bpf.ClassSTX | bpf.ModeMEM | size
		instruction.Registers = bpf.Registers(registerPacket, g.number())
		instruction.Immediate = 0
	}
	g.emit(instruction)
}

// variable moves a pointer by a bounded number, checks it and reads there.
func (g *Generator) variable() {
	s := g.source
	amount := g.number()
	switch s.Below(4) {
	case 0:
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAnd, Registers: amount, Immediate: int32([...]int{1, 15, 60, 63, 255, 0xffff}[s.Below(6)])})
	case 1:
		g.jump(bpf.Instruction{Opcode: bpf.ClassJMP | bpf.JumpGreater, Registers: amount, Immediate: int32(s.Below(300))}, true)
	case 2:
		g.jump(bpf.Instruction{Opcode: bpf.ClassJMP32 | bpf.JumpGreater, Registers: amount, Immediate: int32(s.Below(300))}, true)
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU | bpf.OperationMov | bpf.SourceX, Registers: bpf.Registers(amount, amount)})
	default:
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationRsh, Registers: amount, Immediate: int32(40 + s.Below(24))})
	}
	pointer, limit := uint8(6), uint8(4)
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(pointer, registerPacket)})
	operation := uint8(bpf.OperationAdd)
	if s.OneIn(12) {
		operation = bpf.OperationSub
	}
	g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | operation | bpf.SourceX, Registers: bpf.Registers(pointer, amount)})
	bytes := [...]int{1, 2, 4, 8, 20}[s.Below(5)]
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(limit, pointer)})
	g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAdd, Registers: limit, Immediate: int32(bytes)})
	g.compareEnd(limit)
	size := sizes[s.Below(4)]
	offset := bytes - bpf.SizeBytes(size)
	if s.OneIn(25) {
		offset++
	}
	target := g.target()
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | size, Registers: bpf.Registers(target, pointer), Offset: int16(max(offset, 0))})
	g.numbers &^= 1<<pointer | 1<<limit
	g.isNumber(target)
}

func (g *Generator) copyNumber() {
	class := uint8(bpf.ClassALU64)
	if g.source.OneIn(2) {
		class = bpf.ClassALU
	}
	from, to := g.number(), g.target()
	g.emit(bpf.Instruction{Opcode: class | bpf.OperationMov | bpf.SourceX, Registers: bpf.Registers(to, from)})
	g.isNumber(to)
}

// stack spills or fills, whole or in part.
func (g *Generator) stack() {
	s := g.source
	slot := s.Below(3)
	size := sizes[s.Below(4)]
	if s.OneIn(2) {
		size = bpf.SizeDW
	}
	bytes := bpf.SizeBytes(size)
	offset := int16(-8*(slot+1) + bytes*s.Below(8/bytes))
	if g.spilled>>slot&1 == 0 || s.OneIn(2) {
		from := g.number()
		if size == bpf.SizeDW && s.OneIn(6) {
			from = registerPacket
			g.spilled &^= 1 << slot
		} else if size == bpf.SizeDW {
			g.spilled |= 1 << slot
		}
		g.emit(bpf.Instruction{Opcode: bpf.ClassSTX | bpf.ModeMEM | size, Registers: bpf.Registers(bpf.FramePointer, from), Offset: offset})
		return
	}
	target := g.target()
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | size, Registers: bpf.Registers(target, bpf.FramePointer), Offset: offset})
	g.isNumber(target)
}

// derivedStack writes and reads the frame through a copy of r10.
func (g *Generator) derivedStack() {
	s := g.source
	const pointer = 9
	size := sizes[s.Below(4)]
	bytes := bpf.SizeBytes(size)
	depth := 8 * (1 + s.Below(3))
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(pointer, bpf.FramePointer)})
	g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAdd, Registers: pointer, Immediate: int32(-depth)})
	g.numbers &^= 1 << pointer
	offset := int16(bytes * s.Below(8/bytes))
	if s.OneIn(40) {
		offset += 8 * int16(s.Below(4))
	}
	g.emit(bpf.Instruction{Opcode: bpf.ClassSTX | bpf.ModeMEM | size, Registers: bpf.Registers(pointer, g.number()), Offset: offset})
	target := g.target()
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | size, Registers: bpf.Registers(target, pointer), Offset: offset})
	g.isNumber(target)
}

// spilledPointer saves a packet pointer, checks the register or nothing, takes
// the pointer back and reads through it: what was learnt must have reached it.
func (g *Generator) spilledPointer() {
	s := g.source
	const slot, pointer = -32, 6
	g.emit(bpf.Instruction{Opcode: bpf.ClassSTX | bpf.ModeMEM | bpf.SizeDW, Registers: bpf.Registers(bpf.FramePointer, registerPacket), Offset: slot})
	if s.OneIn(2) {
		g.check()
	}
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | bpf.SizeDW, Registers: bpf.Registers(pointer, bpf.FramePointer), Offset: slot})
	size := sizes[s.Below(4)]
	target := g.target()
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | size, Registers: bpf.Registers(target, pointer), Offset: g.near(bpf.SizeBytes(size))})
	g.numbers &^= 1 << pointer
	g.isNumber(target)
}

// epilogue closes what is open and ends both ways out.
func (g *Generator) epilogue() {
	s := g.source
	for g.openUsed > 0 {
		g.close()
	}
	if s.OneIn(4) {
		register := g.number()
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU | bpf.OperationMov | bpf.SourceX, Registers: bpf.Registers(0, register)})
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAnd, Registers: 0, Immediate: 3})
	} else {
		g.emit(bpf.Instruction{Opcode: bpf.OpcodeMove, Registers: 0, Immediate: abi.NetRXPass})
	}
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeExit})
	if g.outUsed == 0 {
		return
	}
	for index := 0; index < g.outUsed; index++ {
		at := g.out1[index]
		g.out[at].Offset = int16(g.count - at - 1)
	}
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMove, Registers: 0, Immediate: abi.NetRXDrop})
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeExit})
}
