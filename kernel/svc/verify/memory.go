package verify

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Loads and stores: what memory a pointer may touch and what is found there.

// touches records the kind of memory an instruction accesses.
func (w *Workspace) touches(kind Access) {
	if known := w.access[w.slot]; known == AccessNone {
		w.access[w.slot] = kind
	} else if known != kind {
		w.access[w.slot] = AccessMixed
	}
}

func (w *Workspace) load(instruction bpf.Instruction) bool {
	base := w.readable(instruction.Source())
	if base == nil {
		return false
	}
	size := bpf.SizeBytes(instruction.Opcode)
	signed := instruction.Opcode&bpf.ModeMask == bpf.ModeMEMSX
	destination := &w.current.registers[instruction.Destination()]
	switch base.Kind {
	case KindContext:
		return w.loadContext(instruction, base, destination, size, signed)
	case KindPacket:
		if !w.packet(instruction.Source(), base, int64(instruction.Offset), int64(size)) {
			return false
		}
		*destination = numberRegister(loaded(unknownScalar, size, signed))
		return true
	case KindStack:
		return w.loadStack(instruction, base, destination, size, signed)
	}
	return w.refuse(abi.ErrBadPointer, int(instruction.Source()), uint64(KindPacket), uint64(base.Kind))
}

// loaded is a number after it went through size bytes of memory.
func loaded(value Scalar, size int, signed bool) Scalar {
	switch {
	case size == 8:
		return value
	case signed:
		return signExtend(value, uint(size*8))
	case size == 4:
		return low32(value)
	}
	return andScalar(value, constantScalar(1<<(size*8)-1))
}

// loadContext: aligned 4-byte loads of the fields the program's type has.
func (w *Workspace) loadContext(instruction bpf.Instruction, base, destination *Register, size int, signed bool) bool {
	offset := int64(base.Offset) + int64(instruction.Offset)
	if size != 4 || signed || offset%4 != 0 || !contextReadable(w.kind, offset) {
		return w.refuse(abi.ErrContextAccess, int(instruction.Source()), 4, uint64(offset))
	}
	switch offset {
	case 0:
		w.touches(AccessPacketStart)
		*destination = Register{Kind: KindPacket, Scalar: constantScalar(0)}
		return true
	case 4:
		w.touches(AccessPacketEnd)
		*destination = Register{Kind: KindPacketEnd, Scalar: constantScalar(0)}
		return true
	}
	w.touches(AccessContext)
	*destination = numberRegister(low32(unknownScalar))
	return true
}

// contextReadable: data_meta (8) and egress_ifindex (20) are not for programs
// yet; what lies past struct xdp_md only our own hook has.
func contextReadable(kind bpf.Type, offset int64) bool {
	switch offset {
	case 0, 4, 12, 16:
		return true
	case 24, 28:
		return kind == bpf.TypeHook
	}
	return false
}

// packet checks that [pointer+offset, +size) passed a check against the end.
func (w *Workspace) packet(number uint8, r *Register, offset, size int64) bool {
	if !rules.packetAccess(r, offset, size) {
		return w.refuse(abi.ErrPacketBounds, int(number), uint64(int64(r.Offset)+offset+size), uint64(r.Range))
	}
	w.touches(AccessPacket)
	return true
}

func packetAccess(r *Register, offset, size int64) bool {
	first := int64(r.Offset) + offset
	return r.Scalar.SMin >= 0 && first >= 0 && first+size <= int64(r.Range)
}

// stackPlace returns slot and first byte in it of a direct or derived access.
func (w *Workspace) stackPlace(number uint8, r *Register, instructionOffset int64, size int) (slot, first int, ok bool) {
	offset := int64(r.Offset) + instructionOffset
	if offset < -bpf.StackBytes || offset+int64(size) > 0 || !r.Scalar.IsConstant() {
		return 0, 0, w.refuse(abi.ErrStackAccess, int(number), bpf.StackBytes, uint64(-offset))
	}
	if offset%int64(size) != 0 {
		return 0, 0, w.refuse(abi.ErrMisaligned, int(number), uint64(size), uint64(-offset))
	}
	w.touches(AccessStack)
	slot = int(-offset-1) / 8
	return slot, int(offset) + (slot+1)*8, true
}

func bytesMask(first, size int) uint8 { return uint8((1<<size - 1) << first) }

func (w *Workspace) loadStack(instruction bpf.Instruction, base, destination *Register, size int, signed bool) bool {
	slot, first, ok := w.stackPlace(instruction.Source(), base, int64(instruction.Offset), size)
	if !ok {
		return false
	}
	entry := w.current.reach(slot)
	mask := bytesMask(first, size)
	if entry.written&mask != mask {
		return w.refuse(abi.ErrUninitialised, int(instruction.Source()), uint64(mask), uint64(entry.written))
	}
	if entry.spill == noSpill {
		*destination = numberRegister(loaded(unknownScalar, size, signed))
		return true
	}
	spilled := &w.current.spills[entry.spill]
	if size == int(entry.spillBytes) && first == 0 && !signed {
		*destination = *spilled
		return true
	}
	if spilled.Kind != KindScalar {
		return w.refuse(abi.ErrLeak, int(instruction.Source()), 8, uint64(size))
	}
	value := unknownScalar
	if first == 0 && size <= int(entry.spillBytes) {
		value = rules.fillNarrow(&spilled.Scalar, size)
	} else if first+size <= int(entry.spillBytes) {
		value = rshScalar(spilled.Scalar, constantScalar(uint64(8*first)))
	}
	*destination = numberRegister(loaded(value, size, signed))
	return true
}

// fillNarrow is what the lowest bytes of a spilled number are; loaded cuts them.
func fillNarrow(spilled *Scalar, size int) Scalar { return *spilled }

// spillNarrow is what the lowest bytes of a slot hold after a number was stored there.
func spillNarrow(value Scalar, size int) Scalar { return loaded(value, size, false) }

func (w *Workspace) store(instruction bpf.Instruction) bool {
	base := w.readable(instruction.Destination())
	if base == nil {
		return false
	}
	value := &w.immediate
	if instruction.Class() == bpf.ClassSTX {
		if value = w.readable(instruction.Source()); value == nil {
			return false
		}
	} else {
		w.immediate = numberRegister(constantScalar(uint64(int64(instruction.Immediate))))
	}
	size := bpf.SizeBytes(instruction.Opcode)
	switch base.Kind {
	case KindStack:
		return w.storeStack(instruction, base, value, size)
	case KindPacket:
		if value.Kind != KindScalar && w.Rules != RulesLenient {
			return w.refuse(abi.ErrLeak, int(instruction.Source()), uint64(KindScalar), uint64(value.Kind))
		}
		return w.packet(instruction.Destination(), base, int64(instruction.Offset), int64(size))
	case KindContext:
		return w.refuse(abi.ErrReadOnly, int(instruction.Destination()), 0, uint64(int64(base.Offset)+int64(instruction.Offset)))
	}
	return w.refuse(abi.ErrBadPointer, int(instruction.Destination()), uint64(KindPacket), uint64(base.Kind))
}

func (w *Workspace) storeStack(instruction bpf.Instruction, base, value *Register, size int) bool {
	slot, first, ok := w.stackPlace(instruction.Destination(), base, int64(instruction.Offset), size)
	if !ok {
		return false
	}
	entry := w.current.reach(slot)
	if size == 8 {
		if value.Kind == KindScalar && !value.Scalar.IsConstant() && value.ID == 0 {
			value.ID = w.newID() // the register and its spill stay one number
		}
		if !w.current.keepSpill(entry, value, size) && value.Kind != KindScalar {
			return w.refuse(abi.ErrComplexity, int(instruction.Source()), spillMax, spillMax)
		}
		return true
	}
	if value.Kind != KindScalar {
		return w.refuse(abi.ErrLeak, int(instruction.Source()), 8, uint64(size))
	}
	if entry.spill != noSpill && w.current.spills[entry.spill].Kind != KindScalar && w.Rules != RulesLenient {
		return w.refuse(abi.ErrStackAccess, int(instruction.Destination()), 8, uint64(size))
	}
	w.current.forgetSpill(entry)
	if first == 0 { // the lowest bytes are what is read back as a number
		w.narrow = numberRegister(rules.spillNarrow(value.Scalar, size))
		w.current.keepSpill(entry, &w.narrow, size)
		return true
	}
	entry.written |= bytesMask(first, size)
	return true
}
