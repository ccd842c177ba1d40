package fuzz

import (
	"encoding/binary"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// Containment: does an abstract state hold a concrete one? Only what may still
// be read is asked for; liveness here is computed apart from the verifier's,
// by a walk over the program that shares no code with it.

// missing says what a state does not hold.
type missing struct {
	what  string
	where int
	value uint64
}

func (m *missing) String() string { return fmt.Sprintf("%s %d holds %#x", m.what, m.where, m.value) }

// linked collects the members of one id.
type linked struct {
	id    uint32
	value uint64
}

func (c *Checker) contains(state *verify.State, slot int, m *interp.Reference) *missing {
	var links [bpf.RegisterCount + 8]linked
	linkCount := 0
	live := c.live.registers[slot]
	for number := 0; number < bpf.RegisterCount; number++ {
		if live>>number&1 == 0 {
			continue
		}
		register := state.Register(number)
		value := m.Registers[number]
		if !holds(register, value, m) {
			return &missing{"register", number, value}
		}
		if linkCount = link(register, value, links[:], linkCount); linkCount < 0 {
			return &missing{"linked register", number, value}
		}
	}
	for index := 0; index < stackSlotsWatched; index++ {
		if c.live.slots[slot]>>index&1 == 0 {
			continue
		}
		written, spill, spillBytes := state.StackWritten(index)
		value, concrete := stackSlot(m, index)
		if written&^concrete != 0 {
			return &missing{"unwritten stack slot", index, uint64(concrete)}
		}
		if spill == nil {
			continue
		}
		value &= ^uint64(0) >> (64 - 8*spillBytes)
		if !holds(spill, value, m) {
			return &missing{"stack slot", index, value}
		}
		if linkCount = link(spill, value, links[:], linkCount); linkCount < 0 {
			return &missing{"linked stack slot", index, value}
		}
	}
	return nil
}

// stackSlotsWatched: the generator uses the three highest slots.
const stackSlotsWatched = 8

// stackSlot reads 8 bytes of the frame and which of them were written.
func stackSlot(m *interp.Reference, index int) (value uint64, written uint8) {
	var bytes [8]byte
	for offset := range bytes {
		b, was := m.StackByte(bpf.StackBytes - 8*(index+1) + offset)
		bytes[offset] = b
		if was {
			written |= 1 << offset
		}
	}
	return binary.LittleEndian.Uint64(bytes[:]), written
}

// link checks that equal ids mean equal numbers (or equal variable parts); -1
// if they do not.
func link(register *verify.Register, value uint64, links []linked, count int) int {
	if register.ID == 0 || count == len(links) {
		return count
	}
	switch register.Kind {
	case verify.KindPacket:
		value -= interp.PacketBase + uint64(int64(register.Offset))
	case verify.KindScalar:
	default:
		return count
	}
	for index := 0; index < count; index++ {
		if links[index].id == register.ID && links[index].value != value {
			return -1
		}
	}
	links[count] = linked{register.ID, value}
	return count + 1
}

// holds says that the concrete value is one the abstract register allows.
func holds(register *verify.Register, value uint64, m *interp.Reference) bool {
	switch register.Kind {
	case verify.KindNone:
		return true // reading it would have been refused
	case verify.KindScalar:
		return register.Scalar.Contains(value)
	case verify.KindContext:
		return register.Scalar.Contains(value - interp.ContextBase - uint64(int64(register.Offset)))
	case verify.KindStack:
		return register.Scalar.Contains(value - interp.StackTop - uint64(int64(register.Offset)))
	case verify.KindPacketEnd:
		return value == interp.PacketBase+uint64(len(m.Packet))
	}
	variable := value - interp.PacketBase - uint64(int64(register.Offset))
	if !register.Scalar.Contains(variable) {
		return false
	}
	return register.Range == 0 || int64(variable)+int64(register.Range) <= int64(len(m.Packet))
}

// liveness: what may still be read from each slot on.
type liveness struct {
	registers [512]uint16
	slots     [512]uint64
}

func (l *liveness) compute(program []bpf.Instruction) {
	wholeStack := false
	for _, instruction := range program {
		usesFrame := instruction.FromRegister() && instruction.Source() == bpf.FramePointer
		switch instruction.Class() {
		case bpf.ClassALU, bpf.ClassALU64:
			wholeStack = wholeStack || usesFrame
		case bpf.ClassSTX:
			wholeStack = wholeStack || instruction.Source() == bpf.FramePointer
		}
	}
	for slot := len(program) - 1; slot >= 0; slot-- {
		instruction := program[slot]
		if instruction.Opcode == 0 {
			continue // second half of a wide load
		}
		var registers uint16
		var slots uint64
		if instruction.Opcode != bpf.OpcodeExit && instruction.IsJump() {
			target := bpf.JumpTarget(instruction, slot)
			registers, slots = l.registers[target], l.slots[target]
		}
		if !instruction.IsJump() || instruction.IsConditional() {
			next := slot + 1
			if instruction.IsWide() {
				next = slot + 2
			}
			registers, slots = registers|l.registers[next], slots|l.slots[next]
		}
		l.registers[slot], l.slots[slot] = through(instruction, registers, slots)
		if wholeStack {
			l.slots[slot] = ^uint64(0)
		}
	}
}

// through is what is live before an instruction, given what is live behind it.
func through(instruction bpf.Instruction, registers uint16, slots uint64) (uint16, uint64) {
	destination, source := uint16(1)<<instruction.Destination(), uint16(1)<<instruction.Source()
	direct := func() uint64 { return uint64(1) << (uint(-instruction.Offset-1) / 8) }
	switch instruction.Class() {
	case bpf.ClassLD:
		return registers &^ destination, slots
	case bpf.ClassLDX:
		if instruction.Source() == bpf.FramePointer {
			slots |= direct()
		}
		return registers&^destination | source, slots
	case bpf.ClassST, bpf.ClassSTX:
		if instruction.Destination() == bpf.FramePointer && instruction.Opcode&bpf.SizeMask == bpf.SizeDW {
			slots &^= direct()
		}
		registers |= destination
		if instruction.Class() == bpf.ClassSTX {
			registers |= source
		}
		return registers, slots
	case bpf.ClassALU, bpf.ClassALU64:
		if instruction.Operation() == bpf.OperationMov {
			registers &^= destination
		} else {
			registers |= destination
		}
		if instruction.FromRegister() && instruction.Operation() != bpf.OperationEnd {
			registers |= source
		}
		return registers, slots
	}
	if instruction.Opcode == bpf.OpcodeExit {
		return 1, 0
	}
	if instruction.IsConditional() {
		registers |= destination
		if instruction.FromRegister() {
			registers |= source
		}
	}
	return registers, slots
}
