package sim

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// costs of the simulated machine, in instructions. They differ on purpose from
// the figures the judge starts with, so that calibration has work to do.
var costs = struct {
	delivered, noConsumerTCP, noConsumerUDP, malformed, dropped, perByte, entry, step, noise uint64
}{delivered: 1900, noConsumerTCP: 2700, noConsumerUDP: 3100, malformed: 700, dropped: 210, perByte: 2, entry: 35, step: 2, noise: 40}

// defaultPath says what the kernel would do with a frame, and at what cost: a
// model of core/net, written independently of what the services parse.
func (k *Kernel) defaultPath(frame []byte) (abi.Outcome, uint64) {
	outcome, cost := k.parse(frame)
	return outcome, cost + costs.perByte*uint64(len(frame)) + k.random.Uint64N(costs.noise)
}

func (k *Kernel) parse(frame []byte) (abi.Outcome, uint64) {
	if len(frame) < 14 {
		return abi.OutcomeMalformed, costs.malformed
	}
	if binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return abi.OutcomeNoConsumer, costs.malformed
	}
	ip := frame[14:]
	if len(ip) < 20 || ip[0]>>4 != 4 || ip[0]&15 < 5 {
		return abi.OutcomeMalformed, costs.malformed
	}
	headerBytes, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if total < headerBytes || total > len(ip) || sum(ip[:headerBytes], 0) != 0xffff {
		return abi.OutcomeMalformed, costs.malformed
	}
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return abi.OutcomeNoConsumer, costs.malformed // no reassembly
	}
	segment := ip[headerBytes:total]
	return k.transport(ip, segment)
}

func (k *Kernel) transport(ip, segment []byte) (abi.Outcome, uint64) {
	protocol := ip[9]
	minimum := map[byte]int{1: 8, 6: 20, 17: 8}[protocol]
	if minimum == 0 {
		return abi.OutcomeNoConsumer, costs.noConsumerUDP
	}
	if len(segment) < minimum {
		return abi.OutcomeMalformed, costs.malformed
	}
	pseudo := uint32(0)
	if protocol != 1 {
		pseudo = uint32(protocol) + uint32(len(segment))
		for i := 12; i < 20; i += 2 {
			pseudo += uint32(binary.BigEndian.Uint16(ip[i:]))
		}
	}
	if sum(segment, pseudo) != 0xffff {
		return abi.OutcomeMalformed, costs.malformed
	}
	if protocol == 1 {
		return abi.OutcomeDelivered, costs.delivered // echo is answered
	}
	if k.Listens[Listen{protocol, binary.BigEndian.Uint16(segment[2:])}] {
		return abi.OutcomeDelivered, costs.delivered
	}
	if protocol == 6 {
		return abi.OutcomeNoConsumer, costs.noConsumerTCP // a reset is built
	}
	return abi.OutcomeNoConsumer, costs.noConsumerUDP // an ICMP message is built
}

// sum is the Internet checksum (RFC 1071) before the final complement.
func sum(bytes []byte, start uint32) uint32 {
	total := start
	for i := 0; i+1 < len(bytes); i += 2 {
		total += uint32(binary.BigEndian.Uint16(bytes[i:]))
	}
	if len(bytes)%2 != 0 {
		total += uint32(bytes[len(bytes)-1]) << 8
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return total
}
