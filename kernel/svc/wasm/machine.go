// The bounds a plugin runs in, and the ways in.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

// Machine runs functions. It is bounded three ways by its owner: fuel, frames,
// and registers. It never panics on any module that Load accepted.
//
// Fuel counts slots, from above: a call costs the callee's whole length and a
// jump backwards the length of the loop, both before they happen; what runs
// between two charges is straight code. So a plugin that loops is stopped, and
// the hot path pays nothing.
type Machine struct {
	Fuel int64

	registers []uint64 // FrameSlots longer than what frames may use
	frames    []frame

	// Where the last trap was.
	Trapped         *Instance
	TrappedFunction uint32
	TrappedSlot     uint32
}

type frame struct {
	instance *Instance
	function uint32
	position uint32
	base     uint32
}

// Use gives the machine its storage. Of the registers, the last FrameSlots are
// never named: they let a frame be addressed without a check of every access.
func (m *Machine) Use(registers []uint64, frames []Frame) abi.Code {
	if len(registers) < FrameSlots+FrameSlots/64 || len(frames) == 0 {
		return abi.ErrNoSpace
	}
	m.registers, m.frames = registers, frames
	return abi.OK
}

// Frame is storage for one call.
type Frame = frame

// Start runs the module's start function, if it has one.
func (m *Machine) Start(in *Instance) abi.Code {
	if !in.module.hasStart {
		return abi.OK
	}
	_, code := m.Call(in.Function(in.module.start), nil)
	return code
}

// Call runs a function to its end or to a trap. Arguments must match its
// signature in number; the result of a function without one is zero.
func (m *Machine) Call(to Reference, arguments []uint64) (uint64, abi.Code) {
	if to.Signature == nil || len(arguments) != len(to.Signature.Parameters) {
		return 0, abi.ErrWasmType
	}
	for i, kind := range to.Signature.Parameters {
		bits := arguments[i]
		if kind == I32 || kind == F32 {
			bits = uint64(uint32(bits))
		}
		m.registers[i] = bits
	}
	if to.Instance == nil {
		return to.Host.Call(to.Function, m.registers[:len(arguments)], nil)
	}
	if code := m.execute(to.Instance, to.Function); code != abi.OK {
		return 0, code
	}
	if len(to.Signature.Results) == 0 {
		return 0, abi.OK
	}
	return m.registers[0], abi.OK
}

// callHost hands a call to the outside; the result takes the first argument's place.
func (m *Machine) callHost(to Reference, r *[FrameSlots]uint64, first uint16, caller *Instance) abi.Code {
	end := uint32(first) + uint32(len(to.Signature.Parameters))
	result, code := to.Host.Call(to.Function, r[first:end], caller.memory)
	if code != abi.OK {
		return code
	}
	if len(to.Signature.Results) == 1 {
		if kind := to.Signature.Results[0]; kind == I32 || kind == F32 {
			result = uint64(uint32(result))
		}
		r[first] = result
	}
	return abi.OK
}

// element finds the callee of an indirect call.
func (in *Instance) element(index uint64, wanted *Signature) (to Reference, code abi.Code) {
	if index >= uint64(len(in.table.Elements)) {
		return to, abi.ErrTrapTable
	}
	to = in.table.Elements[index]
	if to.Signature == nil {
		return to, abi.ErrTrapNull
	}
	if to.Signature != wanted && !to.Signature.Equal(wanted) {
		return to, abi.ErrTrapSignature
	}
	return to, abi.OK
}
