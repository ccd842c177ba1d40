package abi

// The control channel carries frames in both directions, over virtio-console
// (ours: virtio-mmio; Linux: the port named ControlPortName). A reader that
// meets a bad header skips one byte and looks for the magic again; a bad
// checksum discards the frame and answers MessageError.

// ControlPortName is the virtserialport name that Linux guests look for.
const ControlPortName = "lab.ctl"

const (
	FrameMagic       = 0x42414c4b // "KLAB" in memory order
	FrameHeaderBytes = 24
	FramePayloadMax  = 65536
)

// FrameHeader precedes each payload.
type FrameHeader struct {
	Magic    uint32
	Version  uint16
	Type     uint16 // Message*
	Length   uint32 // payload bytes
	Sequence uint32 // chosen by the sender of a request; a reply repeats it
	Checksum uint32 // FNV-1a 32 over Type, Length, Sequence (little-endian) and the payload
	Reserved uint32 // zero
}

// Message types. Requests have even numbers, replies and streams odd ones.
const (
	MessageHello        = 1  // guest: Hello; unasked, once, as soon as it is ready
	MessagePing         = 2  // any payload up to 64 bytes
	MessagePong         = 3  // the same payload
	MessageError        = 5  // ErrorReply
	MessageStats        = 6  // empty -> MessageStatsReply
	MessageStatsReply   = 7  // Stats
	MessageInstall      = 8  // InstallRequest + program in wire format -> MessageInstallReply
	MessageInstallReply = 9  // InstallReply
	MessageRollback     = 10 // RollbackRequest -> MessageInstallReply
	MessageRecord       = 11 // stream: one or more Record
	MessageTraffic      = 12 // TrafficRequest: start or stop the synthetic source -> MessageInstallReply
	MessageProgram      = 13 // stream: Digest, then assembly text of a candidate the kernel made
	MessagePlant        = 14 // PlantRequest: a fault for the suites -> MessageInstallReply
	MessageReport       = 15 // guest: Report, end of a measured job
	MessagePowerOff     = 16 // empty -> MessagePong, then PSCI SYSTEM_OFF
	MessageExec         = 18 // Linux agent: ExecRequest JSON -> stream and MessageExit
	MessageStdout       = 19 // bytes
	MessageStdin        = 20 // bytes; empty = end of input
	MessageStderr       = 21 // bytes
	MessagePutFile      = 22 // FileChunk header, path, bytes -> MessagePong
	MessageExit         = 23 // ExitReply
	MessageLog          = 25 // guest: UTF-8 log line
	MessageTrace        = 26 // TraceRequest: stream ring events -> MessageEvents...
	MessageEvents       = 27 // stream: one or more NetRXEvent
)

// Hello says what is talking and what "ready" cost.
type Hello struct {
	Version       uint32
	Kind          uint32 // KernelOurs or KernelLinux
	CPUs          uint32
	Flags         uint32 // Hello*
	BootInsnCPU0  uint64 // instructions retired by the boot CPU from reset to ready; 0 = unknown
	BootInsnTotal uint64 // over all CPUs
	BootNS        uint64 // virtual ns since reset
	MemoryBytes   uint64
	KernelDigest  Digest   // SHA-256 of the image (ours: embedded at link time; Linux: zero)
	Release       [64]byte // NUL-terminated
}

const (
	KernelOurs  = 1
	KernelLinux = 2

	HelloWXorX      = 1 << 0 // no page is writable and executable
	HelloAllCPUs    = 1 << 1 // every CPU of the device tree is online
	HelloFirstEvent = 1 << 2 // the first packet was judged
)

// ErrorReply answers a request that was not carried out; nothing was changed.
type ErrorReply struct {
	Code   Code
	Offset uint32 // byte in the request's payload, or 0xffffffff
}

// InstallRequest asks for a program to travel analyze -> verify -> dry run ->
// load -> deploy exactly as one the kernel proposed itself.
type InstallRequest struct {
	Hook         uint32 // HookID
	Flags        uint32 // Install*
	ProgramBytes uint32 // multiple of 8
	Reserved     uint32
	Expected     Digest // refused with ErrDigestMismatch if the bytes differ
}

// InstallSkipDryRun measures a program the dry run would refuse (planted
// losers, the empty program). It is honoured only in measured jobs.
const InstallSkipDryRun = 1 << 0

// InstallReply answers install, rollback, traffic and plant.
type InstallReply struct {
	Code        Code
	Stage       uint32 // Stage that refused, or StageDeploy
	Instruction int32
	SlotVersion uint32
	Values      [4]uint64
	Digest      Digest
}

type RollbackRequest struct {
	Hook     uint32
	Reserved uint32
}

// TrafficRequest drives the synthetic source of a live guest. The trace comes
// with the initrd; phase p of the job is used.
type TrafficRequest struct {
	Seed        uint64
	PacketCount uint32 // 0 = stop
	IntervalNS  uint32 // virtual ns between packets on each CPU
	Phase       uint32
	Flags       uint32
}

// PlantRequest makes a fault happen on purpose.
type PlantRequest struct {
	Kind     uint32 // Plant*
	CPUMask  uint32
	Count    uint32
	Argument uint32
}

const (
	PlantServicePanic  = 1 // out-of-bounds index in a Go service, on each CPU of the mask at once
	PlantKernelPanic   = 2 // a fault in C: panic, back trace, power off
	PlantSpin          = 3 // a low-priority kernel thread that never yields
	PlantHang          = 4 // interrupts off, endless loop: only the host can end it
	PlantStackOverflow = 5 // runs into a guard page
	PlantNetRXPanic    = 6 // the next Count programs on each CPU of the mask index out of bounds
	PlantPumpPanic     = 7 // the next Count steps of the pipeline do; its thread is on CPU 0
)

// Stats is a snapshot of counters, summed over CPUs.
type Stats struct {
	TimeNS         uint64
	NetRX          NetRXStats
	ServicePanics  uint64
	Resets         uint64
	PipelineRounds uint64
	SpinDelayNSMax uint64 // longest wait of net.rx behind a lower priority, virtual ns
	IdleNS         uint64 // virtual ns in WFI, all CPUs
	Reserved       [8]uint64
}

// NetRXStats counts packets by what happened; offered = delivered + no
// consumer + malformed + dropped + steered pending.
type NetRXStats struct {
	Offered         uint64
	Delivered       uint64
	NoConsumer      uint64
	Malformed       uint64
	Dropped         uint64 // by a program
	Audited         uint64
	AuditedWanted   uint64
	Errors          uint64
	CostInsn        uint64 // sum of NetRXEvent.CostInsn
	RingLost        uint64
	SlotVersion     uint32 // running on CPU 0
	CanaryVersion   uint32 // 0 = none
	SwapsDuplicated uint64 // packets handled twice across a swap; always 0
}

// Report ends a measured job. Needed* come from the source's labels, which
// neither candidate nor proposer sees.
type Report struct {
	Code            Code
	Kind            uint32
	Offered         uint64
	NeededOffered   uint64
	NeededDelivered uint64 // unchanged: digest of the delivered bytes equals the source's
	NeededChanged   uint64
	JunkOffered     uint64
	JunkDelivered   uint64
	InsnTotal       uint64 // instructions between first offer and last completion
	InsnEmpty       uint64 // same loop with the hook bypassed or the empty program, where the kind asks for it
	EventsHandled   uint64
	SlotVersion     uint32
	CPUs            uint32
	SignalWanted    uint64 // packets the kernel's own loss signal called wanted
	SignalAgrees    uint64 // packets where signal and label agree
	Program         Digest // hashed in place from the published slot
	Attestation     Digest // SHA-256 over nonce, hook, program bytes in place and events handled
	BootInsn        uint64
	Reserved        [5]uint64
}

// FileChunk precedes a path (PathBytes) and data in MessagePutFile.
type FileChunk struct {
	Offset    uint64
	Mode      uint32
	PathBytes uint32
}

// ExitReply ends an exec.
type ExitReply struct {
	ExitCode int32 // 0..255; -1 = could not start, Signal holds errno
	Signal   int32
	UserNS   uint64
	SystemNS uint64
}
