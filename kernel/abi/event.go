package abi

// Outcome says what the default path did with a packet: the kernel's only
// loss signal. Delivered means that a consumer wanted it.
type Outcome uint8

const (
	OutcomeUnknown    Outcome = 0 // dropped by a program and not audited
	OutcomeDelivered  Outcome = 1 // a consumer took it
	OutcomeNoConsumer Outcome = 2 // well formed, nobody listens
	OutcomeMalformed  Outcome = 3 // failed a length, version or checksum test
	OutcomeSteered    Outcome = 4 // handed to another CPU
	OutcomeCount              = 5
)

// Flags of NetRXEvent.
const (
	EventProgramRan = 1 << 0 // a program decided (else the built-in default)
	EventAudited    = 1 << 1 // the program said drop; delivered all the same, to learn who wanted it
	EventCanary     = 1 << 2 // decided by a canary, not by the CPU's main version
	EventError      = 1 << 3 // the program failed; the default decided
)

// EventSnapBytes is how much of a packet the ring keeps: Ethernet 14 + IPv4 20
// + TCP with options 32 leaves 22 bytes of payload.
const EventSnapBytes = 88

// NetRXEvent is one packet's record in a per-CPU ring, 128 bytes: two cache
// lines of a Cortex-A72.
type NetRXEvent struct {
	Sequence    uint64 // per CPU, from 0, without gaps; the ring counts what it loses
	TimeNS      uint64 // virtual ns since boot
	CostInsn    uint32 // cycles counted from hook entry to the end of the path; equals instructions under icount
	SlotVersion uint32 // version that decided, 0 = built-in default
	FlowPackets uint32 // as in NetRXContext
	FlowAgeNS   uint32 // as in NetRXContext
	PacketBytes uint16 // length on the wire
	SnapBytes   uint16 // valid bytes in Snap
	CPU         uint8
	Action      uint8
	Outcome     Outcome
	Flags       uint8
	Snap        [EventSnapBytes]byte
}

// RingEvents is the capacity of each per-CPU ring; a power of two.
const RingEvents = 1024

// RingHeader precedes the events of a per-CPU ring in memory. Head is written
// only by the producing CPU (store-release after the event), Tail only by the
// consumer (store-release after the copy). They live on different cache lines.
type RingHeader struct {
	Head uint64
	Lost uint64 // events that found the ring full
	_    [48]byte
	Tail uint64
	_    [56]byte
}
