// Programs the suites send, instruction by instruction, so that no assembler
// of ours stands between the suite and the kernel. Layout of RFC 9669: opcode,
// registers (destination low nibble), offset, immediate.

package harness

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Opcodes used below.
const (
	opMoveImmediate  = 0xb7 // dst = imm
	opMoveRegister   = 0xbf // dst = src
	opAddImmediate   = 0x07
	opLoadWord       = 0x61 // dst = *(u32 *)(src + off)
	opLoadHalf       = 0x69
	opLoadByte       = 0x71
	opJump           = 0x05
	opJumpEqual      = 0x15 // if dst == imm goto off
	opJumpNotEqual   = 0x55
	opJumpGreaterReg = 0x2d // if dst > src goto off
	opExit           = 0x95
)

// Instruction encodes one 8-byte slot.
func Instruction(opcode, destination, source uint8, offset int16, immediate int32) []byte {
	slot := []byte{opcode, source<<4 | destination}
	slot = binary.LittleEndian.AppendUint16(slot, uint16(offset))
	return binary.LittleEndian.AppendUint32(slot, uint32(immediate))
}

func program(instructions ...[]byte) (bytes []byte) {
	for _, one := range instructions {
		bytes = append(bytes, one...)
	}
	return bytes
}

// Always returns one action for every packet.
func Always(action int32) []byte {
	return program(Instruction(opMoveImmediate, 0, 0, 0, action), Instruction(opExit, 0, 0, 0, 0))
}

// packetBounds loads the packet into r2 and returns with r0 = pass when it is
// shorter than `bytes`; `rest` follows.
func packetBounds(bytes int32, rest ...[]byte) []byte {
	return program(append([][]byte{
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXPass),
		Instruction(opLoadWord, 2, 1, 0, 0), // r2 = data
		Instruction(opLoadWord, 3, 1, 4, 0), // r3 = data_end
		Instruction(opMoveRegister, 4, 2, 0, 0),
		Instruction(opAddImmediate, 4, 0, 0, bytes),
		Instruction(opJumpGreaterReg, 4, 3, int16(len(rest)), 0), // to the exit
	}, append(rest, Instruction(opExit, 0, 0, 0, 0))...)...)
}

// Offsets in a frame whose IPv4 header has no options.
const (
	firstByteAt        = 0
	protocolAt         = 23
	destinationPortAt  = 36
	throughPorts       = 38
	networkOrderFactor = 256
)

func networkOrder(port uint16) int32 {
	return int32(port%networkOrderFactor*networkOrderFactor + port/networkOrderFactor)
}

// KeepOnlyPort drops everything whose destination port is another.
func KeepOnlyPort(port uint16) []byte {
	return packetBounds(throughPorts,
		Instruction(opLoadHalf, 5, 2, destinationPortAt, 0),
		Instruction(opJumpEqual, 5, 0, 1, networkOrder(port)),
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXDrop))
}

// DropFirstByte drops every packet that begins with a byte.
func DropFirstByte(value uint8) []byte {
	return packetBounds(1,
		Instruction(opLoadByte, 5, 2, firstByteAt, 0),
		Instruction(opJumpNotEqual, 5, 0, 1, int32(value)),
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXDrop))
}

// DropUDPExcept drops every datagram to a port other than the given one: the
// honest filter while that port is the only UDP service.
func DropUDPExcept(port uint16) []byte {
	return packetBounds(throughPorts,
		Instruction(opLoadByte, 5, 2, protocolAt, 0),
		Instruction(opJumpNotEqual, 5, 0, 3, 17),
		Instruction(opLoadHalf, 5, 2, destinationPortAt, 0),
		Instruction(opJumpEqual, 5, 0, 1, networkOrder(port)),
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXDrop))
}

// ReadsBeyondThePacket loads a byte that no check covers: an unsound program.
func ReadsBeyondThePacket() []byte {
	return program(
		Instruction(opLoadWord, 2, 1, 0, 0),
		Instruction(opLoadByte, 0, 2, 60, 0),
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXPass),
		Instruction(opExit, 0, 0, 0, 0))
}

// Loops for ever.
func Loops() []byte {
	return program(
		Instruction(opMoveImmediate, 0, 0, 0, abi.NetRXPass),
		Instruction(opJump, 0, 0, -2, 0),
		Instruction(opExit, 0, 0, 0, 0))
}

// Digest names a program as the kernel does: SHA-256 over its bytes.
func Digest(program []byte) abi.Digest { return sha256.Sum256(program) }
