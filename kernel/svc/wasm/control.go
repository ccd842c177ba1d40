// Blocks, jumps and calls. A block's result, of which 1.0 allows one, lies in
// the register of the height the block began at, whichever way it was left.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

func (t *translator) open(opcode, result byte) {
	if t.controls >= uint32(len(t.s.controls)) {
		t.fail(abi.ErrTooLarge)
		return
	}
	dead := t.controls > 0 && !t.live()
	t.s.controls[t.controls] = control{opcode: opcode, result: result, height: t.values, dead: dead,
		start: t.written, pending: noSlot, otherwise: noSlot, offset: t.at}
	t.controls++
}

func (t *translator) begin(opcode byte) {
	result := t.byte()
	if result != emptyBlock && !isValueType(result) {
		t.failAt(abi.ErrBadValue, t.at-1)
	}
	condition := value{}
	if opcode == opIf {
		condition = t.pop(I32)
	}
	height := t.values
	compare := t.lastProduced(condition)
	if t.failed() {
		return
	}
	if !t.allSettled() {
		compare = nil
	}
	on := uint16(0)
	if opcode == opIf && compare == nil {
		on = t.operand(condition, height)
	}
	t.settleAll()
	skip := uint32(noSlot)
	if opcode == opIf {
		skip = t.writeJump(compare, on, false)
	}
	if opcode == opLoop {
		t.bindHere()
	}
	t.open(opcode, result)
	if !t.failed() {
		t.top().otherwise = skip
	}
}

// allSettled reports whether every operand is in its own register.
func (t *translator) allSettled() bool {
	for height := uint32(0); height < t.values; height++ {
		if t.s.values[height].where != inPlace {
			return false
		}
	}
	return true
}

// writeJump writes a jump taken when the condition holds, or when it does not.
// A comparison that was written last becomes the jump itself. The target is
// filled in later; the position is returned, or noSlot in dead code.
func (t *translator) writeJump(compare *slot, on uint16, holds bool) uint32 {
	if t.failed() || !t.live() {
		return noSlot
	}
	if compare != nil {
		if operation, ok := jumpOf(compare.operation, holds); ok {
			compare.operation = operation
			if operation >= opJump32K && operation < opJump64 {
				compare.extra <<= 32
			}
			t.producer = noSlot
			return t.written - 1
		}
		on = compare.c
	}
	operation := uint16(opJumpUnless)
	if holds {
		operation = opJumpIf
	}
	t.write(slot{operation: operation, a: on})
	return t.written - 1
}

// inverse of the ten comparisons, in their order.
var inverse = [10]uint16{1, 0, 8, 9, 6, 7, 4, 5, 2, 3}

// jumpOf turns a comparison into the jump on it, or on its opposite.
func jumpOf(operation uint16, holds bool) (uint16, bool) {
	family, which := uint16(0), uint16(0)
	switch {
	case operation >= i32Eq && operation <= i32GeU:
		family, which = opJump32, operation-i32Eq
	case operation >= opCompareK && operation < opJump32:
		family, which = opJump32K, operation-opCompareK
	case operation >= i64Eq && operation <= i64GeU:
		family, which = opJump64, operation-i64Eq
	case operation == i32Eqz && holds:
		return opJumpUnless, true
	case operation == i32Eqz:
		return opJumpIf, true
	default:
		return 0, false
	}
	if !holds {
		which = inverse[which]
	}
	return family + which, true
}

// bindHere marks that jumps land at the next slot.
func (t *translator) bindHere() {
	t.barrier = t.written
	t.producer = noSlot
}

// land makes a jump, and the chain behind it, land at the next slot.
func (t *translator) land(position uint32) {
	for position != noSlot {
		one := &t.s.Slots[position]
		next := uint32(one.extra)
		one.extra = one.extra>>32<<32 | uint64(t.written)
		position = next
	}
	t.bindHere()
}

// leave checks and settles what falls out of the innermost block.
func (t *translator) leave() {
	frame := t.top()
	if frame.result != emptyBlock {
		height := t.values - 1
		v := t.pop(frame.result)
		if t.failed() {
			return
		}
		if t.live() {
			t.s.values[height] = v
			t.settle(height)
		}
	}
	if t.values != frame.height {
		t.fail(abi.ErrWasmType)
	}
}

func (t *translator) otherwise() {
	frame := t.top()
	if frame.opcode != opIf {
		t.failAt(abi.ErrBadOpcode, t.at-1)
		return
	}
	t.leave()
	if t.failed() {
		return
	}
	if t.live() {
		t.write(slot{operation: opJump, extra: uint64(frame.pending)})
		frame.pending = t.written - 1
	}
	frame.opcode, frame.unreachable = opElse, false
	if !frame.dead {
		t.setTarget(frame.otherwise, noSlot)
		t.land(frame.otherwise)
	}
	frame.otherwise = noSlot
}

func (t *translator) setTarget(position, target uint32) {
	if position != noSlot {
		one := &t.s.Slots[position]
		one.extra = one.extra>>32<<32 | uint64(target)
	}
}

func (t *translator) finish() {
	frame := t.top()
	t.leave()
	if t.failed() {
		return
	}
	if frame.opcode == opIf && frame.result != emptyBlock {
		t.fail(abi.ErrWasmType) // without else nothing would make the result
		return
	}
	closed := *frame
	if !closed.dead {
		t.setTarget(closed.otherwise, noSlot)
		t.land(closed.otherwise)
		t.land(closed.pending)
	}
	if t.controls == 1 {
		frame.unreachable = false // jumps to the end land here
		if closed.result == emptyBlock {
			t.write(slot{operation: opReturnNothing})
		} else {
			t.write(slot{operation: opReturnValue, a: t.register(0)})
		}
		t.controls = 0
		return
	}
	t.controls--
	if closed.result != emptyBlock {
		t.push(value{kind: closed.result})
	}
}

// cut marks the rest of the block as never reached.
func (t *translator) cut() {
	if t.failed() {
		return
	}
	t.values = t.top().height
	t.top().unreachable = true
}

func (t *translator) label(depth uint32) *control {
	if t.failed() || depth >= t.controls {
		t.fail(abi.ErrWasmIndex)
		return nil
	}
	return &t.s.controls[t.controls-1-depth]
}

// labelResult is what a jump to the label carries: a loop begins anew, with nothing.
func labelResult(target *control) byte {
	if target.opcode == opLoop {
		return emptyBlock
	}
	return target.result
}

// aim gives a jump its target: known for a loop, chained for a block.
func (t *translator) aim(position uint32, target *control) {
	if position == noSlot || t.failed() {
		return
	}
	if target.opcode == opLoop {
		t.setTarget(position, target.start)
		return
	}
	t.setTarget(position, target.pending)
	target.pending = position
}

// jump leaves for a label at once, with the operand it carries.
func (t *translator) jump(target *control) {
	kind := labelResult(target)
	one, isReturn := slot{operation: opJump}, target == &t.s.controls[0]
	if isReturn {
		one.operation = opReturnNothing
	}
	if kind != emptyBlock {
		v := t.pop(kind)
		from := t.operand(v, t.values)
		if to := t.register(target.height); isReturn {
			one = slot{operation: opReturnValue, a: from}
		} else if from != to {
			one = slot{operation: opMoveJump, a: from, b: to}
		}
	}
	if t.failed() || !t.live() {
		return
	}
	t.write(one)
	if !isReturn {
		t.aim(t.written-1, target)
	}
}

func (t *translator) branchIf() {
	target := t.label(t.u32())
	if target == nil {
		return
	}
	condition := t.pop(I32)
	compare, conditionHeight := t.lastProduced(condition), t.values
	kind := labelResult(target)
	if kind == emptyBlock {
		on := uint16(0)
		if compare == nil {
			on = t.operand(condition, conditionHeight)
		}
		t.aim(t.writeJump(compare, on, true), target)
		return
	}
	v := t.pop(kind)
	if t.failed() {
		return
	}
	height := t.values
	if !t.live() {
		t.push(value{kind: kind})
		return
	}
	on := uint16(0)
	if compare == nil {
		on = t.operand(condition, conditionHeight)
	}
	if v.where == inPlace && height == target.height {
		t.aim(t.writeJump(compare, on, true), target)
	} else {
		over := t.writeJump(compare, on, false)
		from := t.operand(v, height)
		t.write(slot{operation: opMoveJump, a: from, b: t.register(target.height)})
		t.aim(t.written-1, target)
		t.setTarget(over, noSlot)
		t.land(over)
	}
	v.kind = kind
	t.push(v)
}

func (t *translator) branchTable() {
	count := t.u32()
	if count > t.end-t.at {
		t.fail(abi.ErrTruncated)
		return
	}
	index := t.pop(I32)
	on := t.operand(index, t.values)
	labels := t.at
	for i := uint32(0); i < count; i++ { // the default is last, and decides what is carried
		t.u32()
	}
	target := t.label(t.u32())
	if target == nil {
		return
	}
	kind, from := labelResult(target), uint16(0)
	if kind != emptyBlock {
		v := t.pop(kind)
		from = t.operand(v, t.values)
	}
	t.write(slot{operation: opJumpTable, a: on, extra: uint64(count)})
	end := t.at
	t.at = labels
	for i := uint32(0); i <= count && !t.failed(); i++ {
		target = t.label(t.u32())
		if target == nil {
			return
		}
		if labelResult(target) != kind {
			t.fail(abi.ErrWasmType)
			return
		}
		if !t.live() {
			continue
		}
		one := slot{operation: opJump}
		if kind != emptyBlock {
			one = slot{operation: opMoveJump, a: from, b: t.register(target.height)}
		}
		t.write(one)
		t.aim(t.written-1, target)
	}
	if !t.failed() {
		t.at = end
		t.cut()
	}
}

// arguments brings the operands of a call to their registers, where they are
// the callee's first locals, and takes them off. Returned is the first.
func (t *translator) arguments(signature *Signature) uint16 {
	for i := len(signature.Parameters); i > 0 && !t.failed(); i-- {
		height := t.values - 1
		v := t.pop(signature.Parameters[i-1])
		if !t.failed() && t.live() {
			t.s.values[height] = v
			t.settle(height)
		}
	}
	return t.register(t.values)
}

func (t *translator) called(one slot, signature *Signature) {
	t.write(one)
	if len(signature.Results) == 1 {
		t.push(value{kind: signature.Results[0]})
	}
}

func (t *translator) call() {
	index := t.u32()
	if index >= uint32(len(t.m.functions)) {
		t.fail(abi.ErrWasmIndex)
		return
	}
	signature := t.m.functions[index].signature
	first := t.arguments(signature)
	t.called(slot{operation: opCall, a: first, extra: uint64(index)}, signature)
}

func (t *translator) callIndirect() {
	kind, table := t.u32(), t.byte()
	if kind >= uint32(len(t.m.types)) || !t.m.hasTable {
		t.fail(abi.ErrWasmIndex)
		return
	}
	if table != 0 {
		t.failAt(abi.ErrBadValue, t.at-1)
		return
	}
	index := t.pop(I32)
	on := t.operand(index, t.values)
	first := t.arguments(&t.m.types[kind])
	t.called(slot{operation: opCallIndirect, a: first, b: on, extra: uint64(kind)}, &t.m.types[kind])
}
