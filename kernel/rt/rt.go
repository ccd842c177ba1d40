// Package rt is the seam of calls: everything a service may ask of the kernel.
//
// It has two variants with one face. In the image (build tag tinygo) each
// function is a call of C, see imports.h. On the host (every other build) each
// goes to the Backend that a simulation has set. Only this package and
// rt/entry contain unsafe code; services stay ordinary Go.
//
// Invariants: nothing here allocates, blocks on another service or keeps a
// pointer it was given. Times are virtual nanoseconds since boot.
package rt

import "github.com/kingly-os/go-kernel/kernel/abi"

// Backend is what the kernel offers. The host's simulation implements it; in
// the image it documents the imports and nothing implements it.
type Backend interface {
	// NowNS is the virtual time.
	NowNS() uint64
	// Instructions is the cycle counter; under icount, instructions.
	Instructions() uint64
	// CPUs is the number of CPUs online.
	CPUs() int
	// RingRead takes the oldest event of a CPU's ring; false when it is empty.
	// One consumer only: the pipeline.
	RingRead(cpu int, event *abi.NetRXEvent) bool
	// RingLost counts the events that found a CPU's ring full.
	RingLost(cpu int) uint64
	// LoadCode puts compiled code behind an index, or with none takes it away,
	// so that the interpreter runs there; false if a CPU is inside the index
	// or the code does not fit.
	LoadCode(hook abi.HookID, index int, code []byte) bool
	// Publish makes a loaded version current on every CPU of the mask. Index
	// 0 is the built-in default.
	Publish(hook abi.HookID, index int, version uint32, cpuMask uint32)
	// Quiescent says that no CPU runs, or can still start to run, the version.
	Quiescent(hook abi.HookID, index int) bool
	// HookStats reads the counters of one CPU, or of all with AllCPUs.
	HookStats(hook abi.HookID, cpu int, stats *abi.NetRXStats)
	// SendFrame queues one whole frame on the control channel.
	SendFrame(frame []byte)
	// Log prints one line on the kernel's console.
	Log(line []byte)
}

// AllCPUs asks HookStats for sums.
const AllCPUs = -1
