// The export that judges a job before C reads any of it.

package main

import "github.com/kingly-os/go-kernel/kernel/abi"

// jobView mirrors struct job_view of core/job/job.h, where its size is
// asserted too: the parts of a checked job as offsets that C may use unchecked.
type jobView struct {
	Seed          uint64
	Nonce         [32]byte
	Kind          uint32
	Flags         uint32
	ProgramOffset uint32
	ProgramBytes  uint32
	TraceOffset   uint32
	TraceBytes    uint32
	ListenOffset  uint32
	ListenCount   uint32
	PhaseOffset   uint32
	PhaseCount    uint32
	PacketCount   uint32
	IntervalNS    uint32
	Repeat        uint32
	Reserved      [5]uint32
}

//export svc_job
func svcJob(blob *byte, bytes uint64, out *jobView, _, _, _ uint64) uint64 {
	job, code := abi.ParseJob(view(blob, bytes))
	if code != abi.OK {
		return answer(code, 0)
	}
	h := &job.Header
	*out = jobView{
		Seed: h.Seed, Nonce: h.Nonce, Kind: h.Kind, Flags: h.Flags,
		ProgramOffset: h.ProgramOffset, ProgramBytes: h.ProgramBytes,
		TraceOffset: h.TraceOffset, TraceBytes: h.TraceBytes,
		ListenOffset: h.ListenOffset, ListenCount: h.ListenCount,
		PhaseOffset: h.PhaseOffset, PhaseCount: h.PhaseCount,
		PacketCount: h.PacketCount, IntervalNS: h.IntervalNS, Repeat: h.Repeat,
	}
	return answer(abi.OK, 0)
}
