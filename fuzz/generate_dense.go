package fuzz

import "github.com/kingly-os/go-kernel/kernel/svc/bpf"

// GenerateDense writes programs in which nothing is without effect: all
// registers hold numbers, every operation and comparison of the language is
// drawn alike, values travel through the stack, and in the end everything is
// folded into one number and written to the packet. Filters forget most of what they compute; for holding two
// engines against each other that would hide mistakes.
func (g *Generator) GenerateDense(source *Source, out []bpf.Instruction) int {
	*g = Generator{source: source, out: out[:min(len(out), generateSlotsMax)]}
	for register := uint8(0); register < denseBase; register++ {
		if register == 1 {
			continue // the context
		}
		if source.OneIn(5) {
			g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | bpf.ModeMEM | bpf.SizeW, Registers: bpf.Registers(register, 1), Offset: contextOffsets[source.Below(4)]})
		} else if source.OneIn(3) {
			// a lower half that is zero, for what looks at too little
			g.emit(bpf.Instruction{Opcode: bpf.OpcodeWideLoad, Registers: register})
			g.emit(bpf.Instruction{Immediate: int32(source.Number())})
		} else {
			g.constant(register)
		}
	}
	for steps := 4 + source.Below(16); steps > 0 && g.count < len(g.out)-28; steps-- {
		g.denseStep()
		if g.openUsed > 0 && source.OneIn(2) {
			g.close()
		}
	}
	for g.openUsed > 0 {
		g.close()
	}
	for register := uint8(2); register < denseBase; register++ {
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationMul, Registers: 0, Immediate: 0x01000193})
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationXor | bpf.SourceX, Registers: bpf.Registers(0, register)})
	}
	g.denseEnd()
	return g.count
}

// denseBase holds no number: it is the frame's address where one is needed.
const denseBase = 9

// denseEnd leaves r0 in the packet, for a hook takes few values from r0.
func (g *Generator) denseEnd() {
	load := uint8(bpf.ClassLDX | bpf.ModeMEM | bpf.SizeW)
	g.emit(bpf.Instruction{Opcode: load, Registers: bpf.Registers(registerPacket, 1)})
	g.emit(bpf.Instruction{Opcode: load, Registers: bpf.Registers(registerEnd, 1), Offset: 4})
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(4, registerPacket)})
	g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAdd, Registers: 4, Immediate: 8})
	g.emit(bpf.Instruction{Opcode: bpf.ClassJMP | bpf.JumpGreater | bpf.SourceX, Registers: bpf.Registers(4, registerEnd), Offset: 1})
	g.emit(bpf.Instruction{Opcode: bpf.ClassSTX | bpf.ModeMEM | bpf.SizeDW, Registers: bpf.Registers(registerPacket, 0)})
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeMove, Registers: 0, Immediate: 2})
	g.emit(bpf.Instruction{Opcode: bpf.OpcodeExit})
}

// dense picks a register that holds a number.
func (g *Generator) dense() uint8 {
	if register := uint8(g.source.Below(denseBase - 1)); register != 1 {
		return register
	}
	return denseBase - 1
}

var denseOperations = [...]uint8{
	bpf.OperationAdd, bpf.OperationSub, bpf.OperationMul, bpf.OperationDiv, bpf.OperationOr, bpf.OperationAnd, bpf.OperationLsh,
	bpf.OperationRsh, bpf.OperationMod, bpf.OperationXor, bpf.OperationArsh, bpf.OperationMov, bpf.OperationNeg, bpf.OperationEnd,
}

func (g *Generator) denseStep() {
	s := g.source
	class, width := uint8(bpf.ClassALU64), 64
	if s.OneIn(2) {
		class, width = bpf.ClassALU, 32
	}
	register, operation := g.dense(), denseOperations[s.Below(len(denseOperations))]
	instruction := bpf.Instruction{Opcode: class | operation, Registers: register}
	switch {
	case s.OneIn(4):
		jump := uint8(bpf.ClassJMP)
		if width == 32 {
			jump = bpf.ClassJMP32
		}
		instruction = bpf.Instruction{Opcode: jump | comparisons[s.Below(len(comparisons))], Registers: register, Immediate: int32(s.Number())}
		if s.OneIn(4) {
			instruction.Immediate = int32(s.Below(2)) // comparisons with zero are forms of their own
		}
		if s.OneIn(3) {
			instruction.Opcode |= bpf.SourceX
			instruction.Registers, instruction.Immediate = bpf.Registers(register, g.dense()), 0
		}
		g.jump(instruction, false)
		return
	case s.OneIn(6):
		g.denseStack(register)
		return
	case operation == bpf.OperationEnd:
		if class == bpf.ClassALU && s.OneIn(2) {
			instruction.Opcode |= bpf.SourceX
		}
		instruction.Immediate = [...]int32{16, 32, 64}[s.Below(3)]
	case operation == bpf.OperationNeg:
	case s.OneIn(2):
		instruction.Opcode |= bpf.SourceX
		instruction.Registers = bpf.Registers(register, g.dense())
		if operation == bpf.OperationMov {
			instruction.Offset = [...]int16{0, 8, 16, 32}[s.Below(width/32+2)]
		}
	default:
		instruction.Immediate = int32(s.Number())
		switch operation {
		case bpf.OperationLsh, bpf.OperationRsh, bpf.OperationArsh:
			instruction.Immediate = int32(s.Below(width))
		case bpf.OperationDiv, bpf.OperationMod:
			instruction.Immediate |= 1
		}
	}
	if (operation == bpf.OperationDiv || operation == bpf.OperationMod) && s.OneIn(2) {
		instruction.Offset = 1
	}
	g.emit(instruction)
}

// denseStack sends a register through the stack, whole or in part, with or
// without its sign.
func (g *Generator) denseStack(register uint8) {
	s := g.source
	size := sizes[s.Below(4)]
	bytes := bpf.SizeBytes(size)
	place := int16(-bytes * (1 + s.Below(bpf.StackBytes/bytes)))
	base := uint8(bpf.FramePointer)
	if s.OneIn(3) {
		base = denseBase
		g.emit(bpf.Instruction{Opcode: bpf.OpcodeMoveReg, Registers: bpf.Registers(base, bpf.FramePointer)})
		moved := int32(-8 * s.Below(8))
		g.emit(bpf.Instruction{Opcode: bpf.ClassALU64 | bpf.OperationAdd, Registers: base, Immediate: moved})
		place = max(place, int16(-bpf.StackBytes-moved))
	}
	if s.OneIn(2) {
		g.emit(bpf.Instruction{Opcode: bpf.ClassST | bpf.ModeMEM | size, Registers: base, Offset: place, Immediate: int32(s.Number())})
	} else {
		g.emit(bpf.Instruction{Opcode: bpf.ClassSTX | bpf.ModeMEM | size, Registers: bpf.Registers(base, register), Offset: place})
	}
	mode := uint8(bpf.ModeMEM)
	if size != bpf.SizeDW && s.OneIn(2) {
		mode = bpf.ModeMEMSX
	}
	g.emit(bpf.Instruction{Opcode: bpf.ClassLDX | mode | size, Registers: bpf.Registers(g.dense(), base), Offset: place})
}
