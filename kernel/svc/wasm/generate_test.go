package wasm

import (
	"encoding/binary"
	"math/rand/v2"
)

// generator writes random modules that are valid by construction. Every loop
// counts down a local of its own and functions call later ones only, so every
// module ends. Payloads of NaN are the engine's choice: bits of floats
// therefore never become integers.
type generator struct {
	r     *rand.Rand
	out   []byte
	depth int
	self  int    // function being written
	loops int    // open, each with its counter
	block []byte // results of the open blocks, emptyBlock for loops
}

const (
	generatedFunctions = 4
	generatedLocals    = 8 // after the four parameters: two of each type
	loopCounters       = 3
)

var kindsInOrder = [4]byte{I32, I64, F32, F64}

func (g *generator) n(below int) int { return int(g.r.Uint32()) % below }

func (g *generator) put(b ...byte) { g.out = append(g.out, b...) }

func (g *generator) number(x int64) {
	for {
		b := byte(x & 0x7f)
		x >>= 7
		if x == 0 && b&0x40 == 0 || x == -1 && b&0x40 != 0 {
			g.put(b)
			return
		}
		g.put(b | 0x80)
	}
}

func unsigned(out []byte, x uint32) []byte { return binary.AppendUvarint(out, uint64(x)) }

// constant of a type, edges preferred.
func (g *generator) constant(kind byte) {
	edges := []int64{0, 1, -1, 2, 31, 32, 63, 64, 255, 65535, 65536, -1 << 31, 1<<31 - 1, -1 << 63, 1<<63 - 1}
	x := edges[g.n(len(edges))]
	if g.n(3) == 0 {
		x = int64(g.r.Uint64()) >> g.n(64)
	}
	switch kind {
	case I32:
		g.put(opI32Const)
		g.number(int64(int32(x)))
	case I64:
		g.put(opI64Const)
		g.number(x)
	case F32:
		g.put(opF32Const)
		g.out = binary.LittleEndian.AppendUint32(g.out, uint32(demote(samples(g.r))))
	case F64:
		g.put(opF64Const)
		g.out = binary.LittleEndian.AppendUint64(g.out, samples(g.r))
	}
}

// local picks one of a type: a parameter or one of two others.
func (g *generator) local(kind byte) uint32 {
	for i, one := range kindsInOrder {
		if one == kind {
			return []uint32{uint32(i), uint32(4 + 2*i), uint32(5 + 2*i)}[g.n(3)]
		}
	}
	return 0
}

// expression leaves one value of a type.
func (g *generator) expression(kind byte) {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > 7 || g.n(5) == 0 {
		if g.n(2) == 0 {
			g.constant(kind)
			return
		}
		g.put(opLocalGet)
		g.out = unsigned(g.out, g.local(kind))
		return
	}
	switch choice := g.n(14); {
	case choice < 6:
		g.arithmetic(kind)
	case choice == 6:
		g.put(opBlock, kind)
		g.block = append(g.block, kind)
		g.statements(2)
		g.expression(kind)
		if g.n(2) == 0 {
			g.expression(I32)
			g.put(opBranchIf, 0)
		}
		g.block = g.block[:len(g.block)-1]
		g.put(opEnd)
	case choice == 7:
		g.expression(I32)
		g.put(opIf, kind)
		g.block = append(g.block, kind)
		g.expression(kind)
		g.put(opElse)
		g.statements(1)
		g.expression(kind)
		g.block = g.block[:len(g.block)-1]
		g.put(opEnd)
	case choice == 8:
		g.expression(kind)
		g.expression(kind)
		g.expression(I32)
		g.put(opSelect)
	case choice == 9:
		g.expression(kind)
		g.put(opLocalTee)
		g.out = unsigned(g.out, g.local(kind))
	case choice == 10 && g.self < generatedFunctions-1:
		g.call(kind)
	case choice == 11 && kind == I32:
		g.put(opMemorySize, 0)
	case choice == 12 && (kind == I32 || kind == I64):
		g.put(opGlobalGet, map[byte]byte{I32: 0, I64: 1}[kind])
	default:
		g.load(kind)
	}
}

// arithmetic picks an operation by its result. Bits of floats stay floats, and
// signs are copied from constants only: the sign of a NaN is the engine's.
func (g *generator) arithmetic(kind byte) {
	for {
		one := numericRanges[g.n(len(numericRanges))]
		operation := one.first + byte(g.n(int(one.last-one.first)+1))
		if one.result != kind || operation == i32ReinterpretF32 || operation == i64ReinterpretF64 {
			continue
		}
		g.expression(one.kind)
		switch {
		case operation == f32Copysign || operation == f64Copysign:
			g.constant(one.kind)
		case one.operands == 2:
			g.expression(one.kind)
		}
		if operation >= saturateFirst {
			g.put(opSaturating, operation-saturateFirst)
		} else {
			g.put(operation)
		}
		return
	}
}

func (g *generator) call(kind byte) {
	for _, parameter := range kindsInOrder {
		g.expression(parameter)
	}
	// Function i returns kindsInOrder[i%4]; find a later one that fits.
	for i := g.self + 1; i < generatedFunctions; i++ {
		if kindsInOrder[i%4] == kind {
			if g.n(2) == 0 {
				g.put(opCall, byte(i))
			} else {
				g.put(opI32Const, byte(i), opCallIndirect, byte(i%4), 0)
			}
			return
		}
	}
	g.put(opDrop, opDrop, opDrop, opDrop)
	g.constant(kind)
}

// address is mostly inside the memory.
func (g *generator) address() {
	g.expression(I32)
	if g.n(12) != 0 {
		g.put(opI32Const)
		g.number(0x7ff)
		g.put(i32And)
	}
}

// load reads any bytes as any type: only the other direction would show a NaN.
func (g *generator) load(kind byte) {
	for {
		i := g.n(opStoreFirst - opLoadFirst)
		if accesses[i].kind == kind {
			g.address()
			g.put(byte(opLoadFirst+i), byte(g.n(int(accesses[i].align)+1)))
			g.out = unsigned(g.out, uint32(g.n(64)))
			return
		}
	}
}

func (g *generator) store() {
	for {
		i := g.n(len(accesses)-(opStoreFirst-opLoadFirst)) + opStoreFirst - opLoadFirst
		if kind := accesses[i].kind; kind == I32 || kind == I64 {
			g.address()
			g.expression(kind)
			g.put(byte(opLoadFirst+i), byte(g.n(int(accesses[i].align)+1)))
			g.out = unsigned(g.out, uint32(g.n(64)))
			return
		}
	}
}

func (g *generator) statements(count int) {
	for ; count > 0; count-- {
		g.statement()
	}
}

func (g *generator) statement() {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > 6 {
		return
	}
	kind := kindsInOrder[g.n(4)]
	switch g.n(9) {
	case 0, 1:
		g.expression(kind)
		g.put(opLocalSet)
		g.out = unsigned(g.out, g.local(kind))
	case 2:
		g.store()
	case 3:
		g.expression(I32)
		g.put(opIf, emptyBlock)
		g.block = append(g.block, emptyBlock)
		g.statements(2)
		if g.n(2) == 0 {
			g.put(opElse)
			g.statements(2)
		}
		g.block = g.block[:len(g.block)-1]
		g.put(opEnd)
	case 4:
		g.loop()
	case 5:
		g.leave()
	case 6:
		g.expression([]byte{I32, I64}[g.n(2)])
		g.out = append(g.out, opDrop)
	case 7:
		g.expression(I64)
		g.put(opGlobalSet, 1)
	case 8:
		g.table()
	}
}

func (g *generator) loop() {
	if g.loops >= loopCounters {
		return
	}
	counter := byte(4 + generatedLocals + g.loops)
	g.loops++
	g.put(opI32Const, byte(1+g.n(5)), opLocalSet, counter, opBlock, emptyBlock, opLoop, emptyBlock)
	g.block = append(g.block, emptyBlock, loopLabel)
	g.statements(2)
	g.put(opLocalGet, counter, opI32Const, 1, i32Sub, opLocalTee, counter, opBranchIf, 0, opEnd, opEnd)
	g.block = g.block[:len(g.block)-2]
	g.loops--
}

// loopLabel is never aimed at by generated jumps: it would begin again without counting.
const loopLabel = 1

// leave jumps out of some block, perhaps.
func (g *generator) leave() {
	if len(g.block) == 0 {
		return
	}
	depth := g.n(len(g.block))
	result := g.block[len(g.block)-1-depth]
	switch result {
	case loopLabel:
	case emptyBlock:
		g.expression(I32)
		g.put(opBranchIf, byte(depth))
	default:
		g.put(opBlock, emptyBlock)
		g.block = append(g.block, emptyBlock)
		g.expression(result)
		g.block = g.block[:len(g.block)-1]
		g.put(opBranch, byte(depth+1), opEnd)
	}
}

// table writes a switch of three blocks.
func (g *generator) table() {
	g.put(opBlock, emptyBlock, opBlock, emptyBlock, opBlock, emptyBlock)
	g.block = append(g.block, emptyBlock, emptyBlock, emptyBlock)
	g.expression(I32)
	g.put(opBranchTable, 2, 0, 1, 2, opEnd)
	g.block = g.block[:len(g.block)-1]
	g.statements(1)
	g.put(opEnd)
	g.block = g.block[:len(g.block)-1]
	g.statements(1)
	g.put(opEnd)
	g.block = g.block[:len(g.block)-1]
}

func section(out []byte, id byte, body []byte) []byte {
	return append(unsigned(append(out, id), uint32(len(body))), body...)
}

// module writes a whole module; function i is exported as the letter 'a'+i.
func (g *generator) module() []byte {
	types, functions, exports, code := []byte{4}, []byte{generatedFunctions}, []byte{generatedFunctions}, []byte{generatedFunctions}
	for i := range kindsInOrder {
		types = append(types, 0x60, 4, I32, I64, F32, F64, 1, kindsInOrder[i])
	}
	for i := 0; i < generatedFunctions; i++ {
		functions = append(functions, byte(i%4))
		exports = append(exports, 1, byte('a'+i), KindFunction, byte(i))
		g.out, g.self = []byte{5, 2, I32, 2, I64, 2, F32, 2, F64, loopCounters, I32}, i
		g.statements(3)
		g.expression(kindsInOrder[i%4])
		g.put(opEnd)
		code = append(unsigned(code, uint32(len(g.out))), g.out...)
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = section(out, sectionType, types)
	out = section(out, sectionFunction, functions)
	out = section(out, sectionTable, []byte{1, functionReference, 0, generatedFunctions})
	out = section(out, sectionMemory, []byte{1, 1, 1, 2})
	out = section(out, sectionGlobal, []byte{2, I32, 1, opI32Const, 5, opEnd, I64, 1, opI64Const, 7, opEnd})
	out = section(out, sectionExport, exports)
	out = section(out, sectionElement, []byte{1, 0, opI32Const, 0, opEnd, generatedFunctions, 0, 1, 2, 3})
	out = section(out, sectionCode, code)
	return section(out, sectionData, []byte{1, 0, opI32Const, 8, opEnd, 4, 1, 2, 0xfe, 0xff})
}
