// One walk over a function's body: every instruction is typed as the
// specification's validation algorithm asks, and written down as a slot.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

// value is one operand on the stack of the walk. Reading a local or a constant
// writes no slot: the operand remembers what it stands for until it is used.
type value struct {
	kind  byte
	where byte
	index uint16 // the local, for inLocal
	bits  uint64 // for isConstant
}

// Where an operand is.
const (
	inPlace    = iota // in the register of its height
	inLocal           // in a local, which has not been written since
	isConstant        // nowhere yet
)

// control is one block that is open.
type control struct {
	opcode      byte
	result      byte // emptyBlock or a type
	height      uint32
	unreachable bool
	dead        bool   // opened in code that is never reached: nothing is written
	start       uint32 // first slot, for loops
	pending     uint32 // chain of jumps to the end; each holds the next one's position
	otherwise   uint32 // the jump to else, or noSlot
	offset      uint32 // of the opening
}

const noSlot = 0xffffffff

// translator is the state of one body's walk.
type translator struct {
	reader
	m        *Module
	s        *Storage
	self     *function
	locals   []byte
	values   uint32
	controls uint32
	written  uint32 // slots, over the whole module
	barrier  uint32 // a jump may land here: what is before must stay as it is
	producer uint32 // the slot that put the topmost operand in place, or noSlot
	deepest  uint32
}

func (d *decoder) translateAll() Fault {
	written := uint32(0)
	for i := d.m.importedFunctions; i < uint32(len(d.m.functions)); i++ {
		f := &d.m.functions[i]
		t := translator{reader: reader{bytes: d.bytes, at: f.bodyOffset, end: f.bodyEnd}, m: d.m, s: d.s,
			self: f, written: written, producer: noSlot}
		t.body()
		if t.failed() {
			return t.fault
		}
		written = t.written
	}
	d.m.slots = d.s.Slots[:written]
	return Fault{}
}

func (t *translator) body() {
	t.declareLocals()
	t.self.first = t.written
	t.barrier = t.written
	t.deepest = uint32(len(t.locals))
	result := byte(emptyBlock)
	if results := t.self.signature.Results; len(results) == 1 {
		result = results[0]
	}
	t.open(opBlock, result)
	for !t.failed() && t.controls > 0 {
		t.instruction()
	}
	if !t.failed() && t.at != t.end {
		t.fail(abi.ErrWasmSection)
	}
	t.self.end = t.written
	t.self.slots = t.deepest + 1
	t.self.locals = uint32(len(t.locals))
}

func (t *translator) declareLocals() {
	n := copy(t.s.locals[:], t.self.signature.Parameters)
	groups := t.u32()
	for i := uint32(0); i < groups && !t.failed(); i++ {
		at := t.at
		count, kind := t.u32(), t.byte()
		if !t.failed() && !isValueType(kind) {
			t.failAt(abi.ErrBadValue, at)
		}
		if count > uint32(LocalsMax-n) {
			t.failAt(abi.ErrTooLarge, at)
		}
		for ; count > 0 && !t.failed(); count-- {
			t.s.locals[n] = kind
			n++
		}
	}
	t.locals = t.s.locals[:n]
}

func (t *translator) instruction() {
	at := t.at
	opcode := t.byte()
	if t.failed() {
		return
	}
	switch {
	case opcode >= opLoadFirst && opcode <= opStoreLast:
		t.memoryAccess(opcode)
	case opcode >= i32Eqz && opcode < saturateFirst:
		t.numeric(opcode)
	case opcode >= opI32Const && opcode <= opF64Const:
		t.constant(opcode)
	case opcode >= opLocalGet && opcode <= opGlobalSet:
		t.variable(opcode)
	case opcode <= opCallIndirect:
		t.flow(opcode, at)
	case opcode == opDrop:
		t.pop(unknown)
	case opcode == opSelect:
		t.choose()
	case opcode == opMemorySize || opcode == opMemoryGrow:
		t.memorySize(opcode)
	case opcode == opSaturating:
		if which := t.u32(); which < 8 {
			t.numeric(byte(saturateFirst + which))
		} else {
			t.failAt(abi.ErrBadOpcode, at)
		}
	default:
		t.failAt(abi.ErrBadOpcode, at)
	}
}

func (t *translator) flow(opcode byte, at uint32) {
	switch opcode {
	case opUnreachable:
		t.write(slot{operation: opUnreachable})
		t.cut()
	case opNop:
	case opBlock, opLoop, opIf:
		t.begin(opcode)
	case opElse:
		t.otherwise()
	case opEnd:
		t.finish()
	case opBranch:
		if target := t.label(t.u32()); target != nil {
			t.jump(target)
			t.cut()
		}
	case opBranchIf:
		t.branchIf()
	case opBranchTable:
		t.branchTable()
	case opReturn:
		if t.jump(&t.s.controls[0]); !t.failed() {
			t.cut()
		}
	case opCall:
		t.call()
	case opCallIndirect:
		t.callIndirect()
	default:
		t.failAt(abi.ErrBadOpcode, at)
	}
}

// Operands.

func (t *translator) top() *control { return &t.s.controls[t.controls-1] }

func (t *translator) live() bool { return !t.top().unreachable && !t.top().dead }

func (t *translator) push(v value) {
	if t.values >= uint32(len(t.s.values)) || t.values+uint32(len(t.locals)) >= FrameSlots-2 {
		t.fail(abi.ErrTooLarge)
		return
	}
	t.s.values[t.values] = v
	t.values++
	t.deepest = max(t.deepest, uint32(len(t.locals))+t.values)
}

// pop takes the topmost operand, which must be of a type; unknown fits all.
// Below the open block there is nothing, or, in unreachable code, anything.
func (t *translator) pop(wanted byte) value {
	frame := t.top()
	if t.values == frame.height {
		if !frame.unreachable {
			t.fail(abi.ErrWasmType)
		}
		return value{kind: wanted}
	}
	v := t.s.values[t.values-1]
	if wanted != unknown && v.kind != unknown && v.kind != wanted {
		t.fail(abi.ErrWasmType)
	}
	if t.failed() {
		return value{kind: wanted}
	}
	t.values--
	return v
}

// register of the operand at a height.
func (t *translator) register(height uint32) uint16 { return uint16(uint32(len(t.locals)) + height) }

// operand says which register holds v, whose height this is, and brings a
// constant there first.
func (t *translator) operand(v value, height uint32) uint16 {
	switch v.where {
	case inLocal:
		return v.index
	case isConstant:
		t.write(slot{operation: opConstant, c: t.register(height), extra: v.bits})
	}
	return t.register(height)
}

// settle brings the operand at a height to its own register.
func (t *translator) settle(height uint32) {
	v := &t.s.values[height]
	switch v.where {
	case inLocal:
		t.write(slot{operation: opMove, a: v.index, c: t.register(height)})
	case isConstant:
		t.write(slot{operation: opConstant, c: t.register(height), extra: v.bits})
	}
	v.where = inPlace
}

// settleAll does so for every operand: jumps may land behind, and expect them there.
func (t *translator) settleAll() {
	for height := uint32(0); height < t.values; height++ {
		t.settle(height)
	}
}

// write appends a slot, unless nothing ever reaches it.
func (t *translator) write(one slot) {
	if t.failed() || !t.live() {
		return
	}
	if t.written >= uint32(len(t.s.Slots)) {
		t.fail(abi.ErrTooLarge)
		return
	}
	t.s.Slots[t.written] = one
	t.written++
	t.producer = noSlot
}

// result writes a slot whose c is a new operand.
func (t *translator) result(one slot, kind byte) {
	one.c = t.register(t.values)
	t.write(one)
	t.push(value{kind: kind})
	if t.live() {
		t.producer = t.written - 1
	}
}

// lastProduced returns the slot that made v, which was just popped, if it is
// the last one written and no jump lands behind it.
func (t *translator) lastProduced(v value) *slot {
	if v.where != inPlace || t.producer == noSlot || t.producer+1 != t.written || t.written <= t.barrier || t.failed() || !t.live() {
		return nil
	}
	if last := &t.s.Slots[t.producer]; last.c == t.register(t.values) {
		return last
	}
	return nil
}

func (t *translator) constant(opcode byte) {
	v := value{where: isConstant}
	switch opcode {
	case opI32Const:
		v.kind, v.bits = I32, uint64(uint32(t.signed(32)))
	case opI64Const:
		v.kind, v.bits = I64, uint64(t.signed(64))
	case opF32Const:
		v.kind, v.bits = F32, t.fixed(4)
	case opF64Const:
		v.kind, v.bits = F64, t.fixed(8)
	}
	t.push(v)
}

func (t *translator) variable(opcode byte) {
	index := t.u32()
	if opcode >= opGlobalGet {
		t.global(opcode, index)
		return
	}
	if index >= uint32(len(t.locals)) {
		t.fail(abi.ErrWasmIndex)
		return
	}
	kind := t.locals[index]
	if opcode == opLocalGet {
		t.push(value{kind: kind, where: inLocal, index: uint16(index)})
		return
	}
	v := t.pop(kind)
	if t.failed() {
		return
	}
	t.setLocal(v, uint16(index))
	if opcode == opLocalTee {
		t.push(value{kind: kind, where: inLocal, index: uint16(index)})
	}
}

// setLocal writes a local. Operands that stand for its old value are saved
// first; without any, the slot that made v writes the local itself.
func (t *translator) setLocal(v value, index uint16) {
	saved := false
	for height := uint32(0); height < t.values; height++ {
		if o := &t.s.values[height]; o.where == inLocal && o.index == index {
			t.settle(height)
			saved = true
		}
	}
	if last := t.lastProduced(v); last != nil && !saved {
		last.c = index
		t.producer = noSlot
		return
	}
	switch {
	case v.where == isConstant:
		t.write(slot{operation: opConstant, c: index, extra: v.bits})
	case v.where == inPlace:
		t.write(slot{operation: opMove, a: t.register(t.values), c: index})
	case v.index != index:
		t.write(slot{operation: opMove, a: v.index, c: index})
	}
}

func (t *translator) global(opcode byte, index uint32) {
	if index >= uint32(len(t.m.globals)) {
		t.fail(abi.ErrWasmIndex)
		return
	}
	kind := t.m.globals[index].kind
	if opcode == opGlobalGet {
		t.result(slot{operation: opGlobalGet, extra: uint64(index)}, kind)
		return
	}
	if !t.m.globals[index].mutable {
		t.fail(abi.ErrReadOnly)
		return
	}
	v := t.pop(kind)
	t.write(slot{operation: opGlobalSet, a: t.operand(v, t.values), extra: uint64(index)})
}

func (t *translator) memoryAccess(opcode byte) {
	one := accesses[opcode-opLoadFirst]
	align, offset := t.u32(), t.u32()
	if !t.m.hasMemory {
		t.fail(abi.ErrWasmIndex)
	}
	if align > uint32(one.align) {
		t.fail(abi.ErrWasmLimits)
	}
	if opcode < opStoreFirst {
		address := t.pop(I32)
		t.result(slot{operation: one.operation, a: t.operand(address, t.values), extra: uint64(offset)}, one.kind)
		return
	}
	v := t.pop(one.kind)
	address := t.pop(I32)
	from := t.operand(v, t.values+1)
	t.write(slot{operation: one.operation, a: t.operand(address, t.values), b: from, extra: uint64(offset)})
}

func (t *translator) memorySize(opcode byte) {
	if t.byte() != 0 {
		t.failAt(abi.ErrBadValue, t.at-1)
	}
	if !t.m.hasMemory {
		t.fail(abi.ErrWasmIndex)
	}
	one := slot{operation: uint16(opcode)}
	if opcode == opMemoryGrow {
		one.a = t.operand(t.pop(I32), t.values)
	}
	t.result(one, I32)
}

func (t *translator) choose() {
	condition := t.pop(I32)
	second := t.pop(unknown)
	first := t.pop(second.kind)
	kind := first.kind
	if kind == unknown {
		kind = second.kind
	}
	on := t.operand(condition, t.values+2)
	other := t.operand(second, t.values+1)
	t.result(slot{operation: opSelect, a: t.operand(first, t.values), b: other, extra: uint64(on)}, kind)
}

func (t *translator) numeric(opcode byte) {
	for i := range numericRanges {
		r := &numericRanges[i]
		if opcode < r.first || opcode > r.last {
			continue
		}
		right := value{}
		if r.operands == 2 {
			right = t.pop(r.kind)
		}
		left := t.pop(r.kind)
		if r.operands == 1 {
			t.result(slot{operation: uint16(opcode), a: t.operand(left, t.values)}, r.result)
			return
		}
		if operation, ok := withConstant(opcode, &right); ok {
			t.result(slot{operation: operation, a: t.operand(left, t.values), extra: right.bits}, r.result)
			return
		}
		from := t.operand(right, t.values+1)
		t.result(slot{operation: uint16(opcode), a: t.operand(left, t.values), b: from}, r.result)
		return
	}
	t.fail(abi.ErrBadOpcode)
}

// withConstant finds the form of an operation that holds its right side itself.
func withConstant(opcode byte, right *value) (uint16, bool) {
	if right.where != isConstant {
		return 0, false
	}
	switch {
	case opcode >= i32Eq && opcode <= i32GeU:
		return opCompareK + uint16(opcode-i32Eq), true
	case opcode == i32Sub:
		right.bits = uint64(uint32(-int32(right.bits)))
		return opArithmeticK, true
	case opcode == i64Sub:
		right.bits = -right.bits
		return opArithmetic64K, true
	case opcode >= i32Shl && opcode <= i32ShrU:
		right.bits &= 31
		return opArithmeticK + uint16(opcode-i32Add), true
	case opcode >= i64Shl && opcode <= i64ShrU:
		right.bits &= 63
		return opArithmetic64K + uint16(opcode-i64Add), true
	case opcode == i32Add || opcode == i32Mul || opcode >= i32And && opcode <= i32Xor:
		return opArithmeticK + uint16(opcode-i32Add), true
	case opcode == i64Add || opcode == i64Mul || opcode >= i64And && opcode <= i64Xor:
		return opArithmetic64K + uint16(opcode-i64Add), true
	}
	return 0, false
}
