package abi

// ParseJob is the only judge of a job: what it returns can be read with the
// accessors below, or from C with the offsets of the header, without another
// bounds check. Every loop is bounded by a constant of job.go.

const (
	fnv64Offset = 0xcbf29ce484222325
	fnv64Prime  = 0x00000100000001b3

	jobChecksumOffset = 24
	ethernetBytes     = 14
	jobFlagsKnown     = JobHookBypassed | JobDefaultPolicy | JobPipelineOn
)

// Job is a checked view of a blob; it holds no copy.
type Job struct {
	Header JobHeader
	Trace  TraceHeader // zero where the job has no trace
	blob   []byte
}

// JobChecksum is FNV-1a 64 over the blob as little-endian 64-bit words, the
// checksum's own word taken as zero. Words and not bytes: a job of 400 kB is
// checked on the way to "ready", and bytes cost eight times the instructions.
// Trailing bytes of a blob that is no multiple of 8 are ignored; ParseJob
// refuses such blobs.
func JobChecksum(blob []byte) uint64 {
	sum := uint64(fnv64Offset)
	for at := 0; len(blob)-at >= 8; at += 8 {
		word := get64(blob[at : at+8])
		if at == jobChecksumOffset {
			word = 0
		}
		sum = (sum ^ word) * fnv64Prime
	}
	return sum
}

// ParseJob checks a whole blob: header, placement of the parts, checksum,
// every listen, phase and packet.
func ParseJob(blob []byte) (Job, Code) {
	var job Job
	if code := job.Header.Get(blob); code != OK {
		return Job{}, code
	}
	if code := job.Header.check(len(blob)); code != OK {
		return Job{}, code
	}
	job.blob = blob[:job.Header.TotalBytes]
	if JobChecksum(job.blob) != job.Header.Checksum {
		return Job{}, ErrChecksum
	}
	for i := 0; i < job.Listens(); i++ {
		listen := job.Listen(i)
		if listen.Protocol == 0 || listen.Reserved != 0 {
			return Job{}, ErrBadValue
		}
	}
	if code := job.parseTrace(); code != OK {
		return Job{}, code
	}
	return job, OK
}

// check judges the header alone; available is what the blob really holds.
func (v *JobHeader) check(available int) Code {
	switch {
	case v.Magic != JobMagic:
		return ErrMagic
	case v.Version != Version:
		return ErrVersion
	case v.TotalBytes > JobBytesMax:
		return ErrTooLarge
	case v.TotalBytes > uint64(available):
		return ErrTruncated
	case v.TotalBytes < JobHeaderBytes || v.TotalBytes%8 != 0:
		return ErrBadLength
	case v.Kind > JobAutonomous || v.Flags&^uint32(jobFlagsKnown) != 0:
		return ErrBadValue
	case v.ListenCount > JobListensMax || v.PhaseCount > JobPhasesMax:
		return ErrTooLarge
	case v.ProgramBytes > 8*ProgramInstructionsMax:
		return ErrTooLarge
	case v.ProgramBytes%8 != 0:
		return ErrBadLength
	}
	for _, word := range v.Reserved {
		if word != 0 {
			return ErrBadValue
		}
	}
	if !v.holds(v.ProgramOffset, uint64(v.ProgramBytes)) ||
		!v.holds(v.TraceOffset, uint64(v.TraceBytes)) ||
		!v.holds(v.ListenOffset, uint64(v.ListenCount)*ListenBytes) ||
		!v.holds(v.PhaseOffset, uint64(v.PhaseCount)*PhaseBytes) {
		return ErrBadLength
	}
	return OK
}

// holds says whether a part lies aligned inside the blob and behind the
// header. An absent part has no place to judge.
func (v *JobHeader) holds(offset uint32, bytes uint64) bool {
	if bytes == 0 {
		return true
	}
	return offset%8 == 0 && offset >= JobHeaderBytes && uint64(offset)+bytes <= v.TotalBytes
}

// parseTrace walks every packet once, so that later walks need no checks of
// their own.
func (j *Job) parseTrace() Code {
	if j.Header.TraceBytes == 0 {
		return OK
	}
	trace := j.part(j.Header.TraceOffset, j.Header.TraceBytes)
	if code := j.Trace.Get(trace); code != OK {
		return code
	}
	switch {
	case j.Trace.Magic != TraceMagic:
		return ErrMagic
	case j.Trace.PacketCount > TracePacketsMax:
		return ErrTooLarge
	case j.Trace.FlowCount > j.Trace.PacketCount || j.Trace.Reserved != 0:
		return ErrBadValue
	}
	packets := j.Packets()
	var packet TracePacket
	for i := uint32(0); i < j.Trace.PacketCount; i++ {
		bytes, ok := packets.Next(&packet)
		switch {
		case !ok:
			return ErrTruncated
		case len(bytes) < ethernetBytes || len(bytes) > PacketBytesMax:
			return ErrBadLength
		case packet.Family >= TraceFamilyMax || packet.Label > LabelNeeded || packet.Flow >= j.Trace.FlowCount:
			return ErrBadValue
		}
	}
	return OK
}

func (j *Job) part(offset, bytes uint32) []byte {
	if bytes == 0 {
		return nil
	}
	return j.blob[offset : offset+bytes]
}

// Program is the job's program in wire format; empty where there is none.
func (j *Job) Program() []byte { return j.part(j.Header.ProgramOffset, j.Header.ProgramBytes) }

// Listens is the number of consumers.
func (j *Job) Listens() int { return int(j.Header.ListenCount) }

// Listen returns consumer i, or the zero value where there is none.
func (j *Job) Listen(i int) (listen Listen) {
	if i >= 0 && i < j.Listens() {
		listen.Get(j.blob[int(j.Header.ListenOffset)+i*ListenBytes:])
	}
	return listen
}

// Phases is the number of stretches of traffic.
func (j *Job) Phases() int { return int(j.Header.PhaseCount) }

// Phase returns phase i, or the zero value where there is none.
func (j *Job) Phase(i int) (phase Phase) {
	if i >= 0 && i < j.Phases() {
		phase.Get(j.blob[int(j.Header.PhaseOffset)+i*PhaseBytes:])
	}
	return phase
}

// Packets begins a walk over the trace in capture order.
func (j *Job) Packets() PacketIterator {
	trace := j.part(j.Header.TraceOffset, j.Header.TraceBytes)
	if len(trace) < TraceHeaderBytes {
		return PacketIterator{}
	}
	return PacketIterator{rest: trace[TraceHeaderBytes:], left: j.Trace.PacketCount}
}

// PacketIterator walks packets; it ends at the count or at the last whole
// record, whichever comes first.
type PacketIterator struct {
	rest []byte
	left uint32
}

// Next fills packet and returns its bytes, or false at the end.
func (it *PacketIterator) Next(packet *TracePacket) (bytes []byte, ok bool) {
	if it.left == 0 || packet.Get(it.rest) != OK {
		return nil, false
	}
	end := TracePacketBytes + int(packet.Bytes)
	padded := (end + 7) &^ 7
	if padded > len(it.rest) {
		return nil, false
	}
	bytes = it.rest[TracePacketBytes:end]
	it.rest = it.rest[padded:]
	it.left--
	return bytes, true
}
