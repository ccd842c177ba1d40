// Package interp runs verified programs: the engine of the dry run, of programs
// that jit does not compile, and what compiled code is held against.
//
// It trusts nothing it can check cheaply. A pointer is never an address: it is
// a region's base number plus an offset, and every access is compared with the
// length of its region, so even a program the verifier wrongly accepted can
// only be stopped with ErrFault. It ends by construction: Load takes forward
// jumps only. The same program and inputs give the same result and step count.
//
// The slow twin in reference.go shares no code with the fast loop; tests and
// fuzzers run both.
package interp

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// Regions. A pointer is base + offset; the verifier keeps offsets within
// +-2^31, so no arithmetic on one region's pointer reaches another's.
//
//	63        42 41      40 39                    0
//	0            region + 1 offset, biased by none
const (
	regionShift = 40
	contextBase = uint64(1) << regionShift
	packetBase  = uint64(2) << regionShift
	stackBase   = uint64(3) << regionShift
	memoryBase  = uint64(4) << regionShift
)

// entriesMax is a power of two, so that masking an index bounds it.
const entriesMax = abi.ProgramInstructionsMax

const _ = uint(0 - entriesMax&(entriesMax-1)) // does not compile otherwise

// entry is one pre-decoded instruction, 16 bytes. A wide load is one entry.
type entry struct {
	operation   uint8
	destination uint8
	source      uint8
	size        uint8
	target      uint16 // entry a taken jump goes to; of a store of an immediate, the offset
	skip        uint16 // entries a taken jump passes over
	immediate   uint64 // sign-extended; for memory: the offset, minus the region's base where it is known
}

// Loaded is a program ready to run. It holds no reference to what it was made
// from and may be run on several CPUs at once, each with its own Machine.
type Loaded struct {
	entries      [entriesMax]entry
	slots        [entriesMax]bpf.Instruction // the program as verified, for digests taken in place
	slotCount    int
	hook         abi.HookID
	writesPacket bool
	longestPath  uint32
	digest       abi.Digest
}

// Machine is the memory of one execution; one per CPU, reused without clearing
// because verified programs never read stack they did not write.
//
// Registers are indexed by a byte, so the array has 256 places of which 11 are
// used: no index needs a check or a mask.
type Machine struct {
	registers   [256]uint64
	stack       [bpf.StackBytes]byte
	context     *abi.NetRXContext
	packet      []byte
	packetBytes int
	code        abi.Code
}

// Load makes a program ready to run.
func Load(p verify.Program, into *Loaded) abi.Code {
	into.slotCount = 0
	if !p.Valid() {
		return abi.ErrNotFound
	}
	if p.Len() > entriesMax {
		return abi.ErrTooLong
	}
	if code := into.decode(p); code != abi.OK {
		return code
	}
	into.hook, into.writesPacket, into.longestPath, into.digest = p.Hook(), p.WritesPacket(), p.LongestPath(), p.Digest()
	into.slotCount = p.CopyTo(into.slots[:])
	return abi.OK
}

// Ready says that a program is loaded.
func (l *Loaded) Ready() bool { return l.slotCount > 0 }

// Hook is where the program may run.
func (l *Loaded) Hook() abi.HookID { return l.hook }

// Digest is the name the program was verified under.
func (l *Loaded) Digest() abi.Digest { return l.digest }

// DigestInPlace hashes the program as it lies in memory now.
func (l *Loaded) DigestInPlace() abi.Digest { return bpf.Digest(l.slots[:l.slotCount]) }

// WritesPacket says that a run may change the packet: replays then need a copy.
func (l *Loaded) WritesPacket() bool { return l.writesPacket }

// LongestPath bounds the steps of a run.
func (l *Loaded) LongestPath() uint32 { return l.longestPath }

// Slots is the program as verified, read-only by convention.
func (l *Loaded) Slots() []bpf.Instruction { return l.slots[:l.slotCount] }

// Run executes the program on a packet. packetBytes is the length on the wire:
// it may exceed len(packet) when only the beginning was recorded, and a load
// from the missing part then ends with ErrSnapTruncated.
func (l *Loaded) Run(m *Machine, context *abi.NetRXContext, packet []byte, packetBytes int) (result uint64, steps uint32, code abi.Code) {
	if l.slotCount == 0 || packetBytes < len(packet) {
		return 0, 0, abi.ErrBadValue
	}
	m.context, m.packet, m.packetBytes, m.code = context, packet, packetBytes, abi.OK
	result, steps = l.execute(m, packet)
	return result, steps, m.code
}
