package abi

// A job is what a guest is given before it starts: for ours the whole initrd,
// for Linux the file /job in the initramfs. Offsets count from the first byte
// of the header; every part lies inside the blob, is 8-byte aligned and does
// not overlap the header.

const (
	JobMagic        = 0x31424f4a42414c4b // "KLABJOB1" in memory order
	JobHeaderBytes  = 192
	JobBytesMax     = 16 << 20
	JobPhasesMax    = 16
	JobListensMax   = 64
	TraceFamilyMax  = 16
	TracePacketsMax = 65536
)

// Kinds of job.
const (
	JobLive       = 0 // wait for control messages; trace and phases serve TrafficRequest
	JobMeasure    = 1 // offer PacketCount packets to the program, report, power off
	JobBench      = 2 // run program and empty program over the packets without a consumer path, report, power off
	JobAutonomous = 3 // run the phases with the pipeline on, stream records, report, power off
)

// Flags of a job.
const (
	JobHookBypassed  = 1 << 0 // no program, no hook: the floor
	JobDefaultPolicy = 1 << 1 // hook on, built-in default, no program
	JobPipelineOn    = 1 << 2 // the kernel proposes for itself
)

// JobHeader begins the blob.
type JobHeader struct {
	Magic         uint64
	Version       uint32
	Kind          uint32
	TotalBytes    uint64 // multiple of 8
	Checksum      uint64 // JobChecksum: FNV-1a 64 over the blob's 8-byte words with this one zero
	Seed          uint64
	Nonce         [32]byte
	ProgramOffset uint32
	ProgramBytes  uint32
	TraceOffset   uint32 // TraceHeader
	TraceBytes    uint32
	ListenOffset  uint32 // []Listen
	ListenCount   uint32
	PhaseOffset   uint32 // []Phase
	PhaseCount    uint32
	PacketCount   uint32
	IntervalNS    uint32 // between packets on each CPU; 0 = back to back
	Flags         uint32
	Repeat        uint32 // JobBench: passes over the packets
	Reserved      [9]uint64
}

// Listen is a consumer: packets of Protocol (6 TCP, 17 UDP, 1 ICMP echo) to
// Port are wanted during the phases of PhaseMask.
type Listen struct {
	Protocol  uint8
	Reserved  uint8
	Port      uint16 // host order; ignored for ICMP
	PhaseMask uint32
}

// Phase is a stretch of traffic: how many packets, how often each family of
// flows is drawn (weights, not shares) and which families the source labels
// as needed. Flows of one family are drawn uniformly by the seed; packets of a
// flow keep their order, and a flow that ends starts again.
type Phase struct {
	PacketCount uint32
	NeededMask  uint32 // bit f: packets of family f labelled needed in the trace are needed now
	Weights     [TraceFamilyMax]uint16
}

// TraceHeader begins a trace made from a capture: PacketCount records follow,
// each a TracePacket and its bytes padded to 8. FlowCount flows are numbered
// from 0; a flow has one family and one label.
type TraceHeader struct {
	Magic       uint32 // "KTRC"
	PacketCount uint32
	FlowCount   uint32
	Reserved    uint32
}

const TraceMagic = 0x4352544b

// TracePacket precedes the bytes of one Ethernet frame.
type TracePacket struct {
	Bytes  uint16
	Label  uint8 // LabelNeeded or LabelJunk
	Family uint8 // < TraceFamilyMax
	Flow   uint32
}

const (
	LabelJunk   = 0
	LabelNeeded = 1
)

// Families of the committed capture.
const (
	FamilyDNS     = 0
	FamilyHTTP    = 1
	FamilyTLS     = 2
	FamilyPing    = 3
	FamilyScan    = 4 // TCP SYN to many ports, served ones among them
	FamilyUDPJunk = 5 // datagrams nobody listens for
	FamilyAbuse   = 6 // a flood from few sources, on served ports too
)
