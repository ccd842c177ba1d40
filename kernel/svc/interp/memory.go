package interp

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Memory by regions, for accesses whose region is not known beforehand and for
// saying why one failed.

// fault ends a run at a failed access; place counts from the packet's start.
//
//go:noinline
func (m *Machine) fault(place uint64, size uint64, steps uint32) (uint64, uint32) {
	m.code = m.whyFault(place+packetBase, size)
	return 0, steps
}

// whyFault tells bytes that were on the wire but not recorded from bytes that
// never were.
func (m *Machine) whyFault(pointer uint64, size uint64) abi.Code {
	place := pointer - packetBase
	if place < uint64(m.packetBytes) && uint64(m.packetBytes)-place >= size {
		return abi.ErrSnapTruncated
	}
	return abi.ErrFault
}

// contextField reads 4 bytes of the context; offset counts from its start.
func contextField(context *abi.NetRXContext, offset uint64) (value uint64, code abi.Code) {
	switch offset {
	case 12:
		return uint64(context.IngressIfindex), abi.OK
	case 16:
		return uint64(context.RxQueueIndex), abi.OK
	case 24:
		return uint64(context.FlowPackets), abi.OK
	case 28:
		return uint64(context.FlowAgeNS), abi.OK
	}
	return 0, abi.ErrFault
}

// load reads size bytes wherever pointer points.
func (m *Machine) load(pointer uint64, size uint8) (value uint64, code abi.Code) {
	switch pointer >> regionShift {
	case packetBase >> regionShift:
		place := pointer - packetBase
		if place >= uint64(len(m.packet)) || uint64(len(m.packet))-place < uint64(size) {
			return 0, m.whyFault(pointer, uint64(size))
		}
		return loadBytes(m.packet[place:], size), abi.OK
	case stackBase >> regionShift:
		place := pointer - stackBase
		if place > bpf.StackBytes-uint64(size) {
			return 0, abi.ErrFault
		}
		return loadBytes(m.stack[place:], size), abi.OK
	case contextBase >> regionShift:
		switch place := pointer - contextBase; {
		case size != 4:
			return 0, abi.ErrFault
		case place == 0:
			return packetBase, abi.OK
		case place == 4:
			return packetBase + uint64(m.packetBytes), abi.OK
		default:
			return contextField(m.context, place)
		}
	}
	return 0, abi.ErrFault
}

// store writes the lowest size bytes of value wherever pointer points.
func (m *Machine) store(pointer uint64, size uint8, value uint64) abi.Code {
	switch pointer >> regionShift {
	case packetBase >> regionShift:
		place := pointer - packetBase
		if place >= uint64(len(m.packet)) || uint64(len(m.packet))-place < uint64(size) {
			return m.whyFault(pointer, uint64(size))
		}
		storeBytes(m.packet[place:], size, value)
		return abi.OK
	case stackBase >> regionShift:
		place := pointer - stackBase
		if place > bpf.StackBytes-uint64(size) {
			return abi.ErrFault
		}
		storeBytes(m.stack[place:], size, value)
		return abi.OK
	}
	return abi.ErrFault
}

func loadBytes(from []byte, size uint8) uint64 {
	switch size {
	case 1:
		return uint64(from[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(from))
	case 4:
		return uint64(binary.LittleEndian.Uint32(from))
	}
	return binary.LittleEndian.Uint64(from)
}

func storeBytes(to []byte, size uint8, value uint64) {
	switch size {
	case 1:
		to[0] = byte(value)
	case 2:
		binary.LittleEndian.PutUint16(to, uint16(value))
	case 4:
		binary.LittleEndian.PutUint32(to, uint32(value))
	default:
		binary.LittleEndian.PutUint64(to, value)
	}
}
