package elf

import "github.com/kingly-os/go-kernel/kernel/svc/bpf"

// Compilers share tails: a block that several paths end in may lie before some
// of them, so that a jump goes back in a program without any loop. This kernel
// takes forward jumps only (they show at a glance that a program ends), so such
// blocks are put in an order in which every jump goes forward. What is judged
// and run is the result; nothing needs to be believed of this file.

// block is a run of slots with one way in at its start.
type block struct {
	start, end  int // slots of the program
	next, taken int // blocks that may follow, -1 if none
	placed      int // where it begins in the result
}

// straighten returns the program with every jump forward, or the program as it
// is if that is so already, cannot be so (a loop, a jump to nowhere), or would
// not fit the offsets.
func straighten(program []bpf.Instruction) []bpf.Instruction {
	blocks, ok := cut(program)
	if !ok {
		return program
	}
	order, ok := forwardOrder(blocks)
	if !ok {
		return program
	}
	var out []bpf.Instruction
	for position, index := range order {
		b := &blocks[index]
		b.placed = len(out)
		out = append(out, program[b.start:b.end]...)
		if b.next >= 0 && (position+1 == len(order) || order[position+1] != b.next) {
			out = append(out, bpf.Instruction{Opcode: bpf.OpcodeGoto})
		}
	}
	if !aim(blocks, out) {
		return program
	}
	return out
}

// cut finds the blocks; false if no jump goes back or one goes nowhere.
func cut(program []bpf.Instruction) (blocks []block, ok bool) {
	begins := make([]bool, len(program)+1)
	begins[0], begins[len(program)] = true, true
	goesBack := false
	for slot := 0; slot < len(program); slot++ {
		instruction := program[slot]
		if instruction.IsWide() {
			slot++
			continue
		}
		if !instruction.IsJump() {
			continue
		}
		begins[slot+1] = true
		if instruction.Opcode == bpf.OpcodeExit {
			continue
		}
		target := bpf.JumpTarget(instruction, slot)
		if target < 0 || target >= len(program) {
			return nil, false
		}
		begins[target] = true
		goesBack = goesBack || target <= slot
	}
	number := make([]int, len(program)+1) // of the block a slot begins
	for slot := 0; slot < len(program); slot++ {
		if begins[slot] {
			number[slot] = len(blocks)
			blocks = append(blocks, block{start: slot})
		}
		blocks[len(blocks)-1].end = slot + 1
	}
	for index := range blocks {
		b := &blocks[index]
		last := program[b.end-1]
		// The second half of a wide load has opcode 0 and is no jump.
		b.next, b.taken = -1, -1
		if last.IsJump() && last.Opcode != bpf.OpcodeExit {
			b.taken = number[bpf.JumpTarget(last, b.end-1)]
		}
		if !last.IsJump() || last.IsConditional() {
			if b.end == len(program) {
				return nil, false
			}
			b.next = index + 1
		}
	}
	return blocks, goesBack
}

// forwardOrder is a topological order in which a block is followed by the one
// it falls into wherever that can be; false if there is a loop or a block that
// nothing reaches.
func forwardOrder(blocks []block) (order []int, ok bool) {
	const entered, left = 1, 2
	state := make([]uint8, len(blocks))
	type visit struct{ index, step int }
	pending := []visit{{0, 0}}
	for len(pending) > 0 {
		top := &pending[len(pending)-1]
		b := blocks[top.index]
		state[top.index] = entered
		var successor int
		switch top.step {
		case 0:
			successor = b.taken
		case 1:
			successor = b.next
		default:
			state[top.index] = left
			order = append(order, top.index)
			pending = pending[:len(pending)-1]
			continue
		}
		top.step++
		if successor < 0 || state[successor] == left {
			continue
		}
		if state[successor] == entered {
			return nil, false
		}
		pending = append(pending, visit{successor, 0})
	}
	for low, high := 0, len(order)-1; low < high; low, high = low+1, high-1 {
		order[low], order[high] = order[high], order[low]
	}
	return order, len(order) == len(blocks)
}

// aim writes the offsets of all jumps; false if one does not fit.
func aim(blocks []block, out []bpf.Instruction) bool {
	for _, b := range blocks {
		last := b.placed + b.end - b.start - 1
		if b.taken >= 0 && !aimOne(&out[last], last, blocks[b.taken].placed) {
			return false
		}
		// An added jump stands behind the block where what follows is another's.
		added := last + 1
		if b.next >= 0 && blocks[b.next].placed != added && !aimOne(&out[added], added, blocks[b.next].placed) {
			return false
		}
	}
	return true
}

func aimOne(jump *bpf.Instruction, at, target int) bool {
	distance := target - at - 1
	if jump.Opcode == bpf.OpcodeGotoLong {
		jump.Immediate = int32(distance)
		return true
	}
	jump.Offset = int16(distance)
	return int(jump.Offset) == distance
}
