// The dispatch: one case for each operation.

package wasm

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// execute runs a function whose arguments are the first registers. It holds
// the operations of integers, memory and flow; floating point and what
// compilers rarely write is in uncommon.
//
// r is the frame as an array of FrameSlots, which 16-bit registers can never
// leave. The code slice is checked at each step, as Go does.
func (m *Machine) execute(in *Instance, function uint32) (trap abi.Code) {
	var (
		code     = in.module.slots
		memory   []byte
		base     uint32
		depth    int
		position uint32
		fuel     = m.Fuel
		r        *[FrameSlots]uint64
		top      = uint32(len(m.registers) - FrameSlots)
		first    uint16
		callee   = Reference{Instance: in, Function: function}
		s        *slot
	)
	m.Trapped = nil
	goto enter
next:
	s = &code[position]
	position++
	switch s.operation {
	case i32Eq:
		r[s.c] = truth(uint32(r[s.a]) == uint32(r[s.b]))
		goto next
	case i32Ne:
		r[s.c] = truth(uint32(r[s.a]) != uint32(r[s.b]))
		goto next
	case i32LtS:
		r[s.c] = truth(int32(r[s.a]) < int32(r[s.b]))
		goto next
	case i32LtU:
		r[s.c] = truth(uint32(r[s.a]) < uint32(r[s.b]))
		goto next
	case i32GtS:
		r[s.c] = truth(int32(r[s.a]) > int32(r[s.b]))
		goto next
	case i32GtU:
		r[s.c] = truth(uint32(r[s.a]) > uint32(r[s.b]))
		goto next
	case i32LeS:
		r[s.c] = truth(int32(r[s.a]) <= int32(r[s.b]))
		goto next
	case i32LeU:
		r[s.c] = truth(uint32(r[s.a]) <= uint32(r[s.b]))
		goto next
	case i32GeS:
		r[s.c] = truth(int32(r[s.a]) >= int32(r[s.b]))
		goto next
	case i32GeU:
		r[s.c] = truth(uint32(r[s.a]) >= uint32(r[s.b]))
		goto next
	case i64Eq:
		r[s.c] = truth(r[s.a] == r[s.b])
		goto next
	case i64Ne:
		r[s.c] = truth(r[s.a] != r[s.b])
		goto next
	case i64LtS:
		r[s.c] = truth(int64(r[s.a]) < int64(r[s.b]))
		goto next
	case i64LtU:
		r[s.c] = truth(r[s.a] < r[s.b])
		goto next
	case i64GtS:
		r[s.c] = truth(int64(r[s.a]) > int64(r[s.b]))
		goto next
	case i64GtU:
		r[s.c] = truth(r[s.a] > r[s.b])
		goto next
	case i64LeS:
		r[s.c] = truth(int64(r[s.a]) <= int64(r[s.b]))
		goto next
	case i64LeU:
		r[s.c] = truth(r[s.a] <= r[s.b])
		goto next
	case i64GeS:
		r[s.c] = truth(int64(r[s.a]) >= int64(r[s.b]))
		goto next
	case i64GeU:
		r[s.c] = truth(r[s.a] >= r[s.b])
		goto next
	case opCompareK + i32Eq - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) == uint32(s.extra))
		goto next
	case opCompareK + i32Ne - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) != uint32(s.extra))
		goto next
	case opCompareK + i32LtS - i32Eq:
		r[s.c] = truth(int32(r[s.a]) < int32(s.extra))
		goto next
	case opCompareK + i32LtU - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) < uint32(s.extra))
		goto next
	case opCompareK + i32GtS - i32Eq:
		r[s.c] = truth(int32(r[s.a]) > int32(s.extra))
		goto next
	case opCompareK + i32GtU - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) > uint32(s.extra))
		goto next
	case opCompareK + i32LeS - i32Eq:
		r[s.c] = truth(int32(r[s.a]) <= int32(s.extra))
		goto next
	case opCompareK + i32LeU - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) <= uint32(s.extra))
		goto next
	case opCompareK + i32GeS - i32Eq:
		r[s.c] = truth(int32(r[s.a]) >= int32(s.extra))
		goto next
	case opCompareK + i32GeU - i32Eq:
		r[s.c] = truth(uint32(r[s.a]) >= uint32(s.extra))
		goto next
	case opJump32 + i32Eq - i32Eq:
		if uint32(r[s.a]) == uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32Ne - i32Eq:
		if uint32(r[s.a]) != uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32LtS - i32Eq:
		if int32(r[s.a]) < int32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32LtU - i32Eq:
		if uint32(r[s.a]) < uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32GtS - i32Eq:
		if int32(r[s.a]) > int32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32GtU - i32Eq:
		if uint32(r[s.a]) > uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32LeS - i32Eq:
		if int32(r[s.a]) <= int32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32LeU - i32Eq:
		if uint32(r[s.a]) <= uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32GeS - i32Eq:
		if int32(r[s.a]) >= int32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32 + i32GeU - i32Eq:
		if uint32(r[s.a]) >= uint32(r[s.b]) {
			goto jump
		}
		goto next
	case opJump32K + i32Eq - i32Eq:
		if uint32(r[s.a]) == uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32Ne - i32Eq:
		if uint32(r[s.a]) != uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32LtS - i32Eq:
		if int32(r[s.a]) < int32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32LtU - i32Eq:
		if uint32(r[s.a]) < uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32GtS - i32Eq:
		if int32(r[s.a]) > int32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32GtU - i32Eq:
		if uint32(r[s.a]) > uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32LeS - i32Eq:
		if int32(r[s.a]) <= int32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32LeU - i32Eq:
		if uint32(r[s.a]) <= uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32GeS - i32Eq:
		if int32(r[s.a]) >= int32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump32K + i32GeU - i32Eq:
		if uint32(r[s.a]) >= uint32(s.extra>>32) {
			goto jump
		}
		goto next
	case opJump64 + i64Eq - i64Eq:
		if r[s.a] == r[s.b] {
			goto jump
		}
		goto next
	case opJump64 + i64Ne - i64Eq:
		if r[s.a] != r[s.b] {
			goto jump
		}
		goto next
	case opJump64 + i64LtS - i64Eq:
		if int64(r[s.a]) < int64(r[s.b]) {
			goto jump
		}
		goto next
	case opJump64 + i64LtU - i64Eq:
		if r[s.a] < r[s.b] {
			goto jump
		}
		goto next
	case opJump64 + i64GtS - i64Eq:
		if int64(r[s.a]) > int64(r[s.b]) {
			goto jump
		}
		goto next
	case opJump64 + i64GtU - i64Eq:
		if r[s.a] > r[s.b] {
			goto jump
		}
		goto next
	case opJump64 + i64LeS - i64Eq:
		if int64(r[s.a]) <= int64(r[s.b]) {
			goto jump
		}
		goto next
	case opJump64 + i64LeU - i64Eq:
		if r[s.a] <= r[s.b] {
			goto jump
		}
		goto next
	case opJump64 + i64GeS - i64Eq:
		if int64(r[s.a]) >= int64(r[s.b]) {
			goto jump
		}
		goto next
	case opJump64 + i64GeU - i64Eq:
		if r[s.a] >= r[s.b] {
			goto jump
		}
		goto next
	case i32Eqz:
		r[s.c] = truth(uint32(r[s.a]) == 0)
		goto next
	case i64Eqz:
		r[s.c] = truth(r[s.a] == 0)
		goto next
	case i32Add:
		r[s.c] = uint64(uint32(r[s.a]) + uint32(r[s.b]))
		goto next
	case i32Sub:
		r[s.c] = uint64(uint32(r[s.a]) - uint32(r[s.b]))
		goto next
	case i32Mul:
		r[s.c] = uint64(uint32(r[s.a]) * uint32(r[s.b]))
		goto next
	case i32And:
		r[s.c] = uint64(uint32(r[s.a]) & uint32(r[s.b]))
		goto next
	case i32Or:
		r[s.c] = uint64(uint32(r[s.a]) | uint32(r[s.b]))
		goto next
	case i32Xor:
		r[s.c] = uint64(uint32(r[s.a]) ^ uint32(r[s.b]))
		goto next
	case i32Shl:
		r[s.c] = uint64(uint32(r[s.a]) << (r[s.b] & 31))
		goto next
	case i32ShrS:
		r[s.c] = uint64(uint32(int32(r[s.a]) >> (r[s.b] & 31)))
		goto next
	case i32ShrU:
		r[s.c] = uint64(uint32(r[s.a]) >> (r[s.b] & 31))
		goto next
	case i64Add:
		r[s.c] = r[s.a] + r[s.b]
		goto next
	case i64Sub:
		r[s.c] = r[s.a] - r[s.b]
		goto next
	case i64Mul:
		r[s.c] = r[s.a] * r[s.b]
		goto next
	case i64And:
		r[s.c] = r[s.a] & r[s.b]
		goto next
	case i64Or:
		r[s.c] = r[s.a] | r[s.b]
		goto next
	case i64Xor:
		r[s.c] = r[s.a] ^ r[s.b]
		goto next
	case i64Shl:
		r[s.c] = r[s.a] << (r[s.b] & 63)
		goto next
	case i64ShrS:
		r[s.c] = uint64(int64(r[s.a]) >> (r[s.b] & 63))
		goto next
	case i64ShrU:
		r[s.c] = r[s.a] >> (r[s.b] & 63)
		goto next
	case opArithmeticK + i32Add - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) + uint32(s.extra))
		goto next
	case opArithmeticK + i32Mul - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) * uint32(s.extra))
		goto next
	case opArithmeticK + i32And - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) & uint32(s.extra))
		goto next
	case opArithmeticK + i32Or - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) | uint32(s.extra))
		goto next
	case opArithmeticK + i32Xor - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) ^ uint32(s.extra))
		goto next
	case opArithmeticK + i32Shl - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) << (s.extra & 31))
		goto next
	case opArithmeticK + i32ShrS - i32Add:
		r[s.c] = uint64(uint32(int32(r[s.a]) >> (s.extra & 31)))
		goto next
	case opArithmeticK + i32ShrU - i32Add:
		r[s.c] = uint64(uint32(r[s.a]) >> (s.extra & 31))
		goto next
	case opArithmetic64K + i64Add - i64Add:
		r[s.c] = r[s.a] + s.extra
		goto next
	case opArithmetic64K + i64Mul - i64Add:
		r[s.c] = r[s.a] * s.extra
		goto next
	case opArithmetic64K + i64And - i64Add:
		r[s.c] = r[s.a] & s.extra
		goto next
	case opArithmetic64K + i64Or - i64Add:
		r[s.c] = r[s.a] | s.extra
		goto next
	case opArithmetic64K + i64Xor - i64Add:
		r[s.c] = r[s.a] ^ s.extra
		goto next
	case opArithmetic64K + i64Shl - i64Add:
		r[s.c] = r[s.a] << (s.extra & 63)
		goto next
	case opArithmetic64K + i64ShrS - i64Add:
		r[s.c] = uint64(int64(r[s.a]) >> (s.extra & 63))
		goto next
	case opArithmetic64K + i64ShrU - i64Add:
		r[s.c] = r[s.a] >> (s.extra & 63)
		goto next
	case i32WrapI64, i64ExtendI32U:
		r[s.c] = uint64(uint32(r[s.a]))
		goto next
	case i64ExtendI32S, i64Extend32S:
		r[s.c] = uint64(int64(int32(r[s.a])))
		goto next
	case opMove:
		r[s.c] = r[s.a]
		goto next
	case opConstant:
		r[s.c] = s.extra
		goto next
	case opSelect:
		if uint32(r[uint16(s.extra)]) != 0 {
			r[s.c] = r[s.a]
		} else {
			r[s.c] = r[s.b]
		}
		goto next
	case opGlobalGet:
		r[s.c] = in.globals[s.extra].Bits
		goto next
	case opGlobalSet:
		in.globals[s.extra].Bits = r[s.a]
		goto next
	case opLoad32:
		at := r[s.a] + s.extra
		if at+4 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(binary.LittleEndian.Uint32(memory[at:]))
		goto next
	case opLoad64:
		at := r[s.a] + s.extra
		if at+8 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = binary.LittleEndian.Uint64(memory[at:])
		goto next
	case opLoad8U:
		at := r[s.a] + s.extra
		if at >= uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(memory[at])
		goto next
	case opLoad16U:
		at := r[s.a] + s.extra
		if at+2 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(binary.LittleEndian.Uint16(memory[at:]))
		goto next
	case opLoad8S32:
		at := r[s.a] + s.extra
		if at >= uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(uint32(int8(memory[at])))
		goto next
	case opLoad16S32:
		at := r[s.a] + s.extra
		if at+2 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(uint32(int16(binary.LittleEndian.Uint16(memory[at:]))))
		goto next
	case opLoad8S64:
		at := r[s.a] + s.extra
		if at >= uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(int8(memory[at]))
		goto next
	case opLoad16S64:
		at := r[s.a] + s.extra
		if at+2 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(int16(binary.LittleEndian.Uint16(memory[at:])))
		goto next
	case opLoad32S64:
		at := r[s.a] + s.extra
		if at+4 > uint64(len(memory)) {
			goto outside
		}
		r[s.c] = uint64(int32(binary.LittleEndian.Uint32(memory[at:])))
		goto next
	case opStore8:
		at := r[s.a] + s.extra
		if at >= uint64(len(memory)) {
			goto outside
		}
		memory[at] = byte(r[s.b])
		goto next
	case opStore16:
		at := r[s.a] + s.extra
		if at+2 > uint64(len(memory)) {
			goto outside
		}
		binary.LittleEndian.PutUint16(memory[at:], uint16(r[s.b]))
		goto next
	case opStore32:
		at := r[s.a] + s.extra
		if at+4 > uint64(len(memory)) {
			goto outside
		}
		binary.LittleEndian.PutUint32(memory[at:], uint32(r[s.b]))
		goto next
	case opStore64:
		at := r[s.a] + s.extra
		if at+8 > uint64(len(memory)) {
			goto outside
		}
		binary.LittleEndian.PutUint64(memory[at:], r[s.b])
		goto next
	case opJump:
		goto jump
	case opMoveJump:
		r[s.b] = r[s.a]
		goto jump
	case opJumpIf:
		if uint32(r[s.a]) != 0 {
			goto jump
		}
		goto next
	case opJumpUnless:
		if uint32(r[s.a]) == 0 {
			goto jump
		}
		goto next
	case opJumpTable:
		position += uint32(min(r[s.a], s.extra))
		goto next
	case opCall:
		first = s.a
		if s.extra < uint64(len(in.imports)) {
			callee = in.imports[s.extra]
		} else {
			callee.Instance, callee.Function = in, uint32(s.extra)
		}
		goto call
	case opCallIndirect:
		first = s.a
		callee, trap = in.element(r[s.b], &in.module.types[s.extra])
		if trap != abi.OK {
			goto trapped
		}
		goto call
	case opReturnValue:
		r[0] = r[s.a]
		goto leave
	case opReturnNothing:
		goto leave
	case opMemorySize:
		r[s.c] = uint64(len(memory) / PageBytes)
		goto next
	case opMemoryGrow:
		r[s.c] = uint64(in.memory.grow(uint32(r[s.a])))
		memory = in.memory.Bytes
		goto next
	default:
		r[s.c], trap = uncommon(s.operation, r[s.a], r[s.b])
		if trap != abi.OK {
			goto trapped
		}
		goto next
	}
jump:
	if target := uint32(s.extra); target < position {
		fuel -= int64(position - target)
		if fuel < 0 {
			trap = abi.ErrTrapFuel
			goto trapped
		}
		position = target
	} else {
		position = target
	}
	goto next
call:
	if callee.Instance == nil {
		fuel--
		m.Fuel = fuel
		trap = m.callHost(callee, r, first, in)
		fuel = m.Fuel
		if trap == abi.OK && fuel < 0 {
			trap = abi.ErrTrapFuel
		}
		if trap != abi.OK {
			goto trapped
		}
		if in.memory != nil {
			memory = in.memory.Bytes
		}
		goto next
	}
	if depth >= len(m.frames) {
		trap = abi.ErrTrapStack
		goto trapped
	}
	m.frames[depth] = frame{in, function, position, base}
	depth++
	base += uint32(first)
	in, function = callee.Instance, callee.Function
enter:
	{
		f := &in.module.functions[function]
		fuel -= int64(f.end - f.first)
		if base+f.slots > top {
			trap = abi.ErrTrapStack
			goto trapped
		}
		if fuel < 0 {
			trap = abi.ErrTrapFuel
			goto trapped
		}
		code, position = in.module.slots, f.first
		r = (*[FrameSlots]uint64)(m.registers[base : base+FrameSlots])
		for i := f.parameters; i < f.locals; i++ {
			r[i&(FrameSlots-1)] = 0
		}
		memory = nil
		if in.memory != nil {
			memory = in.memory.Bytes
		}
	}
	goto next
leave:
	if depth == 0 {
		m.Fuel = fuel
		return abi.OK
	}
	depth--
	{
		back := &m.frames[depth]
		in, function, position, base = back.instance, back.function, back.position, back.base
		code = in.module.slots
		r = (*[FrameSlots]uint64)(m.registers[base : base+FrameSlots])
		memory = nil
		if in.memory != nil {
			memory = in.memory.Bytes
		}
	}
	goto next
outside:
	trap = abi.ErrTrapMemory
trapped:
	m.Fuel = fuel
	m.Trapped, m.TrappedFunction, m.TrappedSlot = in, function, position
	return trap
}

func truth(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}
