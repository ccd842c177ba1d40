package abi

// HookID names a place in the kernel where a verified program may decide.
type HookID uint8

const (
	HookNone  HookID = 0
	HookNetRX HookID = 1 // one decision per received packet
	HookCount        = 2
)

// Actions of HookNetRX. The numbers are XDP's (linux/bpf.h, enum xdp_action),
// so the same bytecode runs as an XDP program on Linux.
const (
	NetRXAborted  = 0 // the program failed; treated as pass and counted as an error
	NetRXDrop     = 1
	NetRXPass     = 2 // the default behind the slot
	NetRXTX       = 3 // reserved: treated as an error by this kernel
	NetRXRedirect = 4 // steer: deliver on the CPU that the source address hashes to; the context names none
)

// NetRXContext is what r1 points to at HookNetRX. Its first 24 bytes are laid
// out as struct xdp_md: a 4-byte load at offset 0 yields a pointer to the first
// packet byte (the Ethernet header), one at offset 4 the end of the packet,
// for the verifier and the interpreter alike; the stored numbers are lengths,
// never addresses. Programs that touch fields at or past offset 24 run on this
// kernel only.
type NetRXContext struct {
	Data           uint32 // 0: in memory always 0 (offset of the first byte)
	DataEnd        uint32 // 4: in memory the packet length in bytes
	DataMeta       uint32 // 8: equal to Data; not readable by programs yet
	IngressIfindex uint32 // 12: 1 = synthetic source, 2 = virtio-net
	RxQueueIndex   uint32 // 16: the CPU the packet arrived on
	EgressIfindex  uint32 // 20: not readable by programs yet
	FlowPackets    uint32 // 24: packets seen from this source address in the current window, saturating
	FlowAgeNS      uint32 // 28: virtual ns since the flow's first packet, saturating
}

// NetRXContextReadable is the number of leading bytes a program may read.
const NetRXContextBytes = 32

// Limits of programs in the kernel. The host may verify longer ones with a
// larger workspace; these are what the image reserves memory for.
const (
	ProgramInstructionsMax = 512  // slots of 8 bytes, per program
	ProgramTextBytesMax    = 8192 // assembly text of one candidate
	CandidatesMax          = 8    // per pipeline round, default and running program included
	PacketBytesMax         = 2048 // one frame, no jumbo
	CPUMax                 = 8
)
