//go:build !tinygo

package interp

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Memory of the reference interpreter, byte by byte.

// access reads or writes size bytes at a pointer.
func (m *Reference) access(pointer uint64, size int, write bool, value uint64, into *uint64) abi.Code {
	if m.Context != nil && pointer>>regionShift == contextBase>>regionShift {
		return m.accessContext(pointer-contextBase, size, write, into)
	}
	var result uint64
	for index := 0; index < size; index++ {
		place, written, code := m.byteAt(pointer + uint64(index))
		if code != abi.OK {
			return code
		}
		if write {
			*place = byte(value >> (8 * index))
			if written != nil {
				*written = true
			}
			continue
		}
		if written != nil && !*written && !m.Lax {
			return abi.ErrUninitialised
		}
		result |= uint64(*place) << (8 * index)
	}
	if into != nil {
		*into = result
	}
	return abi.OK
}

// byteAt finds one byte; written is where its being written is noted, if it is.
func (m *Reference) byteAt(pointer uint64) (place *byte, written *bool, code abi.Code) {
	switch {
	case pointer-packetBase < uint64(len(m.Packet)):
		return &m.Packet[pointer-packetBase], nil, abi.OK
	case pointer-memoryBase < uint64(len(m.Memory)):
		return &m.Memory[pointer-memoryBase], nil, abi.OK
	case pointer-stackBase < uint64(m.depth+1)*frameStride && (pointer-stackBase)%frameStride < bpf.StackBytes:
		// Frames lie one above the other, the outermost lowest.
		index := pointer - stackBase
		f := &m.frames[index/frameStride]
		return &f.stack[index%frameStride], &f.written[index%frameStride], abi.OK
	}
	return nil, nil, abi.ErrFault
}

func (m *Reference) accessContext(offset uint64, size int, write bool, into *uint64) abi.Code {
	if write || size != 4 {
		return abi.ErrFault
	}
	switch offset {
	case 0:
		*into = packetBase
	case 4:
		*into = packetBase + uint64(len(m.Packet))
	case 12:
		*into = uint64(m.Context.IngressIfindex)
	case 16:
		*into = uint64(m.Context.RxQueueIndex)
	case 24:
		*into = uint64(m.Context.FlowPackets)
	case 28:
		*into = uint64(m.Context.FlowAgeNS)
	default:
		return abi.ErrFault
	}
	return abi.OK
}

// atomic follows RFC 9669 section 5.3; with one thread, plainly.
func (m *Reference) atomic(instruction bpf.Instruction) abi.Code {
	size := bpf.SizeBytes(instruction.Opcode)
	pointer := m.Registers[instruction.Destination()] + uint64(int64(instruction.Offset))
	var old uint64
	if code := m.access(pointer, size, false, 0, &old); code != abi.OK {
		return code
	}
	operand := m.Registers[instruction.Source()]
	if size == 4 {
		operand = uint64(uint32(operand))
	}
	result := old
	switch instruction.Immediate &^ bpf.AtomicFetch {
	case bpf.AtomicAdd:
		result = old + operand
	case bpf.AtomicOr:
		result = old | operand
	case bpf.AtomicAnd:
		result = old & operand
	case bpf.AtomicXor:
		result = old ^ operand
	case bpf.AtomicXchg &^ bpf.AtomicFetch:
		result = operand
	case bpf.AtomicCmpXhg &^ bpf.AtomicFetch:
		if code := m.needs(0); code != abi.OK {
			return code
		}
		expected := m.Registers[0]
		if size == 4 {
			expected = uint64(uint32(expected))
		}
		if old == expected {
			result = operand
		}
		m.set(0, old)
	}
	if instruction.Immediate&bpf.AtomicFetch != 0 && instruction.Immediate != bpf.AtomicCmpXhg {
		m.set(instruction.Source(), old)
	}
	return m.access(pointer, size, true, result, nil)
}
