package fuzz

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Inputs of a program: packets whose lengths lie around the lengths it checks
// and whose bytes lie around the numbers it compares with.

// constantsMax bounds what is collected of one program.
const constantsMax = 64

// Inputs draws contexts and packets for one program.
type Inputs struct {
	constants [constantsMax]uint64
	count     int
	lengths   [constantsMax]int
	lengthsN  int
	packet    [256]byte
}

// Prepare collects the program's numbers.
func (in *Inputs) Prepare(program []bpf.Instruction) {
	in.count, in.lengthsN = 0, 0
	for index := 0; index < len(program); index++ {
		instruction := program[index]
		value := uint64(int64(instruction.Immediate))
		if instruction.IsWide() && index+1 < len(program) {
			index++
			value = uint64(uint32(instruction.Immediate)) | uint64(uint32(program[index].Immediate))<<32
		}
		if value != 0 && in.count < constantsMax {
			in.constants[in.count] = value
			in.count++
		}
		isAddition := instruction.Opcode == bpf.ClassALU64|bpf.OperationAdd
		if isAddition && instruction.Immediate > 0 && instruction.Immediate < int32(len(in.packet)) && in.lengthsN < constantsMax {
			in.lengths[in.lengthsN] = int(instruction.Immediate)
			in.lengthsN++
		}
	}
}

// Draw makes input number index: the first ones are the shortest packets and
// those around the checked lengths, the rest is drawn.
func (in *Inputs) Draw(index int, s *Source) (abi.NetRXContext, []byte) {
	length := 0
	switch {
	case index == 0:
	case in.lengthsN > 0 && index < 5:
		length = in.lengths[s.Below(in.lengthsN)] + s.Below(3) - 1
	case in.lengthsN > 0 && s.OneIn(2):
		length = in.lengths[s.Below(in.lengthsN)] + s.Below(20)
	default:
		length = s.Below(len(in.packet))
	}
	packet := in.packet[:min(length, len(in.packet))]
	in.fill(packet, s)
	return abi.NetRXContext{
		DataEnd: uint32(len(packet)), IngressIfindex: uint32(in.value(s)), RxQueueIndex: uint32(in.value(s)),
		FlowPackets: uint32(in.value(s)), FlowAgeNS: uint32(in.value(s)),
	}, packet
}

func (in *Inputs) value(s *Source) uint64 {
	if in.count > 0 && s.OneIn(2) {
		return in.constants[s.Below(in.count)] + uint64(s.Below(3)) - 1
	}
	return s.Number()
}

// fill writes bytes: zeros, ones, random, and the program's numbers in places.
func (in *Inputs) fill(packet []byte, s *Source) {
	pattern := s.Below(4)
	word := s.Uint64()
	for index := range packet {
		switch pattern {
		case 0:
			packet[index] = 0
		case 1:
			packet[index] = 0xff
		default:
			if index%8 == 0 {
				word = word*0x9e3779b97f4a7c15 + 0x94d049bb133111eb
			}
			packet[index] = byte(word >> (8 * (index % 8)))
		}
	}
	for times := 0; times < 4 && len(packet) > 8; times++ {
		at := s.Below(len(packet) - 8)
		value := in.value(s)
		for offset := 0; offset < 1<<s.Below(4); offset++ {
			packet[at+offset] = byte(value >> (8 * offset))
		}
	}
}
