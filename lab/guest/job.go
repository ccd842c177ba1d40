package guest

import (
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// JobSpec is what a measured or live guest is given before it starts.
type JobSpec struct {
	Kind        uint32 // abi.Job*
	Seed        uint64
	Nonce       [32]byte
	Program     []byte // wire format; empty = none
	Trace       []byte // abi.TraceHeader and its packets, as lab/capture makes them
	Listens     []abi.Listen
	Phases      []abi.Phase
	PacketCount uint32
	IntervalNS  uint32
	Flags       uint32
	Repeat      uint32
}

// AppendJob appends the blob of a job to dst. It refuses, with abi.ParseJob's
// own code, what a guest would refuse. The blob must begin at an offset of dst
// that is a multiple of 8.
func AppendJob(dst []byte, spec JobSpec) ([]byte, error) {
	start := len(dst)
	if start%8 != 0 {
		return nil, fmt.Errorf("job at offset %d: not a multiple of 8", start)
	}
	if len(spec.Listens) > abi.JobListensMax || len(spec.Phases) > abi.JobPhasesMax {
		return nil, fmt.Errorf("job: %d listens and %d phases, at most %d and %d",
			len(spec.Listens), len(spec.Phases), abi.JobListensMax, abi.JobPhasesMax)
	}
	size := abi.JobHeaderBytes + len(spec.Program) + len(spec.Trace) +
		len(spec.Listens)*abi.ListenBytes + len(spec.Phases)*abi.PhaseBytes
	if size > abi.JobBytesMax {
		return nil, fmt.Errorf("job of %d bytes, at most %d", size, abi.JobBytesMax)
	}
	dst = append(dst, make([]byte, abi.JobHeaderBytes)...)
	part := func(bytes []byte) uint32 {
		if len(bytes) == 0 {
			return 0
		}
		offset := len(dst) - start
		dst = append(dst, bytes...)
		for (len(dst)-start)%8 != 0 {
			dst = append(dst, 0)
		}
		return uint32(offset)
	}
	listens := make([]byte, len(spec.Listens)*abi.ListenBytes)
	for i := range spec.Listens {
		spec.Listens[i].Put(listens[i*abi.ListenBytes:])
	}
	phases := make([]byte, len(spec.Phases)*abi.PhaseBytes)
	for i := range spec.Phases {
		spec.Phases[i].Put(phases[i*abi.PhaseBytes:])
	}
	header := abi.JobHeader{
		Magic: abi.JobMagic, Version: abi.Version, Kind: spec.Kind, Seed: spec.Seed, Nonce: spec.Nonce,
		ProgramOffset: part(spec.Program), ProgramBytes: uint32(len(spec.Program)),
		TraceOffset: part(spec.Trace), TraceBytes: uint32(len(spec.Trace)),
		ListenOffset: part(listens), ListenCount: uint32(len(spec.Listens)),
		PhaseOffset: part(phases), PhaseCount: uint32(len(spec.Phases)),
		PacketCount: spec.PacketCount, IntervalNS: spec.IntervalNS, Flags: spec.Flags, Repeat: spec.Repeat,
	}
	blob := dst[start:]
	header.TotalBytes = uint64(len(blob))
	header.Put(blob)
	header.Checksum = abi.JobChecksum(blob)
	header.Put(blob)
	if _, code := abi.ParseJob(blob); code != abi.OK {
		return nil, fmt.Errorf("job: %v", code)
	}
	return dst, nil
}
