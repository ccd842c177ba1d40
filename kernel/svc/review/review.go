// Package review is the opinion stage between proposal and analysis: it asks
// whether a candidate contradicts what telemetry saw, and may only refuse.
//
// It stands outside the chain of types on purpose. From analyze on, each stage
// returns a value that only it can make and that the next one demands; review
// returns a code and nothing else, so no stage can be persuaded by it: a
// reviewer that is wrong (a model will be, one day) can cost a good candidate
// and can never vouch for a bad one.
//
// The check is deterministic. For each slot whose packets were all but purely
// delivered, the candidate is followed with what the slot says about a packet
// (its address, its port, plain IPv4) and nothing else known. If every path
// ends in drop, the candidate drops a wanted class whole, and no dry run is
// spent on it. Whatever review does not understand it lets pass to analyze.
package review

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

// purityMin is how pure, in per mille, a slot must be to speak for its class.
const purityMin = 950

// eventsMin is how many packets make a class.
const eventsMin = 16

// Bounds of one walk: it gives up, and lets the candidate pass, beyond them.
const (
	stepsMax   = 4096
	pendingMax = 32
)

// Report says which slot was contradicted, -1 if none.
type Report struct {
	Code  abi.Code
	Slot  int32
	Steps uint32
}

// Reviewer is the walk's memory.
type Reviewer struct {
	packet  [telemetry.BytesTCP]byte
	known   [telemetry.BytesTCP]bool
	pending [pendingMax]state
	waiting int
}

// state is one path: where it is and which registers hold known numbers.
type state struct {
	at       int
	values   [11]uint64
	known    uint16 // bit per register: values[r] is what the register holds
	packetAt uint16 // bit per register: the packet pointer plus values[r]
	context  uint16 // bit per register: the context pointer plus values[r]
	end      uint16 // bit per register: the packet end
}

// Check refuses a candidate that drops a delivered class whole.
func (r *Reviewer) Check(instructions []bpf.Instruction, s *telemetry.Snapshot) Report {
	report := Report{Slot: -1}
	for i := 0; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Dominant != abi.OutcomeDelivered || slot.Purity < purityMin ||
			slot.Count.Wanted < eventsMin || slot.Count.Unknown > 0 {
			continue
		}
		r.describe(slot)
		if r.dropsAll(instructions, &report.Steps) {
			report.Code, report.Slot = abi.ErrRefused, int32(i)
			return report
		}
	}
	return report
}

// describe writes what a slot says about its packets.
func (r *Reviewer) describe(slot *telemetry.Slot) {
	for i := range r.known {
		r.known[i] = false
	}
	if slot.Field == telemetry.FieldAll {
		return
	}
	r.write(telemetry.OffsetEtherType, 0x08, 0x00)
	r.write(telemetry.OffsetVersionIHL, 0x45)
	r.write(telemetry.OffsetFragment, 0, 0)
	v := slot.Value
	switch slot.Field {
	case telemetry.FieldSource:
		r.write(telemetry.OffsetSourceAddress, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	case telemetry.FieldSourceNet:
		r.write(telemetry.OffsetSourceAddress, byte(v>>16), byte(v>>8), byte(v))
	case telemetry.FieldDestinationPort:
		r.write(telemetry.OffsetProtocol, slot.Protocol)
		r.write(telemetry.OffsetDestinationPort, byte(v>>8), byte(v))
	case telemetry.FieldSourcePort:
		r.write(telemetry.OffsetProtocol, slot.Protocol)
		r.write(telemetry.OffsetSourcePort, byte(v>>8), byte(v))
	case telemetry.FieldClass:
		r.write(telemetry.OffsetProtocol, slot.Protocol)
	}
}

func (r *Reviewer) write(at int, bytes ...byte) {
	for i, b := range bytes {
		r.packet[at+i] = b
		r.known[at+i] = true
	}
}

// dropsAll follows every path that is possible for the described packet and
// says whether all end in drop. It knows jumps with a known operand and
// comparisons of pointers (the packet is long enough for any header: a class
// is dropped by what it is, not by being short).
func (r *Reviewer) dropsAll(instructions []bpf.Instruction, steps *uint32) bool {
	r.waiting = 1
	r.pending[0] = state{context: 1 << 1}
	for budget := stepsMax; r.waiting > 0; budget-- {
		if budget == 0 {
			return false
		}
		*steps++
		top := &r.pending[r.waiting-1]
		if top.at < 0 || top.at >= len(instructions) {
			return false // analyze will say what is wrong with it
		}
		instruction := instructions[top.at]
		if instruction.Opcode == bpf.OpcodeExit {
			if top.known&1 == 0 || uint32(top.values[0]) != abi.NetRXDrop {
				return false
			}
			r.waiting--
			continue
		}
		if !r.step(top, instruction, instructions) {
			return false
		}
	}
	return true
}

// step executes one instruction on the newest path; false = not understood.
func (r *Reviewer) step(s *state, i bpf.Instruction, all []bpf.Instruction) bool {
	if i.Destination() > 10 || i.Source() > 10 {
		return false
	}
	switch i.Class() {
	case bpf.ClassLD:
		if !i.IsWide() || s.at+1 >= len(all) {
			return false
		}
		s.forget(i.Destination())
		s.at += 2
		return true
	case bpf.ClassLDX:
		r.load(s, i)
		s.at++
		return true
	case bpf.ClassST, bpf.ClassSTX:
		s.at++ // the walk knows nothing of the stack
		return i.Opcode&bpf.ModeMask == bpf.ModeMEM
	case bpf.ClassALU, bpf.ClassALU64:
		s.arithmetic(i)
		s.at++
		return true
	}
	return r.jump(s, i, len(all))
}

func (s *state) forget(register uint8) {
	bit := uint16(1) << register
	s.known &^= bit
	s.packetAt &^= bit
	s.context &^= bit
	s.end &^= bit
}

func (s *state) set(register uint8, value uint64) {
	s.forget(register)
	s.known |= 1 << register
	s.values[register] = value
}

// load reads the packet pointers from the context and known packet bytes.
func (r *Reviewer) load(s *state, i bpf.Instruction) {
	destination, source := i.Destination(), uint16(1)<<i.Source()
	size, base := bpf.SizeBytes(i.Opcode), int64(s.values[i.Source()])+int64(i.Offset)
	isContext, isPacket := s.context&source != 0, s.packetAt&source != 0
	s.forget(destination)
	switch {
	case isContext && base == 0:
		s.packetAt |= 1 << destination
		s.values[destination] = 0
	case isContext && base == 4:
		s.end |= 1 << destination
	case isPacket && base >= 0 && base+int64(size) <= int64(len(r.packet)) && i.Opcode&bpf.ModeMask == bpf.ModeMEM:
		value := [8]byte{}
		for b := 0; b < size; b++ {
			if !r.known[int(base)+b] {
				return
			}
			value[b] = r.packet[int(base)+b]
		}
		s.set(destination, binary.LittleEndian.Uint64(value[:]))
	}
}

// arithmetic covers what header tests are made of; the rest is forgotten.
func (s *state) arithmetic(i bpf.Instruction) {
	destination, source := i.Destination(), i.Source()
	bit := uint16(1) << destination
	operand, operandKnown := uint64(int64(i.Immediate)), true
	if i.FromRegister() {
		operand, operandKnown = s.values[source], s.known>>source&1 != 0
	}
	wide := i.Class() == bpf.ClassALU64
	operation := i.Operation()
	if operation == bpf.OperationMov && i.FromRegister() && wide && i.Offset == 0 {
		s.forget(destination)
		for _, set := range [...]*uint16{&s.known, &s.packetAt, &s.context, &s.end} {
			*set |= *set >> source & 1 << destination
		}
		s.values[destination] = s.values[source]
		return
	}
	if operation == bpf.OperationMov && operandKnown && i.Offset == 0 {
		s.set(destination, narrow(operand, wide))
		return
	}
	if operation == bpf.OperationAdd && operandKnown && wide && s.packetAt&bit != 0 {
		s.values[destination] += operand
		return
	}
	if s.known&bit == 0 || !operandKnown {
		s.forget(destination)
		return
	}
	value := s.values[destination]
	switch operation {
	case bpf.OperationAdd:
		value += operand
	case bpf.OperationSub:
		value -= operand
	case bpf.OperationAnd:
		value &= operand
	case bpf.OperationOr:
		value |= operand
	case bpf.OperationXor:
		value ^= operand
	default:
		s.forget(destination)
		return
	}
	s.set(destination, narrow(value, wide))
}

func narrow(value uint64, wide bool) uint64 {
	if wide {
		return value
	}
	return uint64(uint32(value))
}

// jump follows the branch that is known, or both.
func (r *Reviewer) jump(s *state, i bpf.Instruction, count int) bool {
	if i.Opcode == bpf.OpcodeCall || i.Opcode == bpf.OpcodeCallReg {
		return false
	}
	target := bpf.JumpTarget(i, s.at)
	if target <= s.at || target >= count {
		return false
	}
	if !i.IsConditional() {
		s.at = target
		return true
	}
	taken, decided := r.decide(s, i)
	switch {
	case decided && taken:
		s.at = target
	case decided:
		s.at++
	default:
		if r.waiting == pendingMax {
			return false
		}
		s.at++
		r.pending[r.waiting] = *s
		r.pending[r.waiting].at = target
		r.waiting++
	}
	return true
}

// decide evaluates a condition as far as it is known.
func (r *Reviewer) decide(s *state, i bpf.Instruction) (taken, decided bool) {
	left, right := i.Destination(), i.Source()
	if i.FromRegister() {
		if s.packetAt>>left&1 != 0 && s.end>>right&1 != 0 {
			return packetAgainstEnd(i.Operation(), s.values[left])
		}
		if s.known>>right&1 == 0 {
			return false, false
		}
	}
	if s.known>>left&1 == 0 {
		return false, false
	}
	a, b := s.values[left], uint64(int64(i.Immediate))
	if i.FromRegister() {
		b = s.values[right]
	}
	if i.Class() == bpf.ClassJMP32 {
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	switch i.Operation() {
	case bpf.JumpEqual:
		return a == b, true
	case bpf.JumpNotEqual:
		return a != b, true
	case bpf.JumpGreater:
		return a > b, true
	case bpf.JumpGreaterEqual:
		return a >= b, true
	case bpf.JumpLess:
		return a < b, true
	case bpf.JumpLessEqual:
		return a <= b, true
	case bpf.JumpSet:
		return a&b != 0, true
	}
	return false, false
}

// packetAgainstEnd: the packet holds all headers; about more nothing is known.
func packetAgainstEnd(operation uint8, offset uint64) (taken, decided bool) {
	if offset > telemetry.BytesTransport {
		return false, false
	}
	switch operation {
	case bpf.JumpGreater:
		return false, true
	case bpf.JumpLessEqual:
		return true, true
	}
	return false, false
}
