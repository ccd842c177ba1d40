// Every record against the standard library's reading of it; frames and jobs,
// good, damaged and arbitrary.

package abi

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

// wire is what every struct of the seam offers.
type wire interface {
	Put([]byte) int
	Get([]byte) Code
}

// every lists the structs with their twins.
func every() []struct {
	name  string
	bytes int
	a, b  wire
} {
	return []struct {
		name  string
		bytes int
		a, b  wire
	}{
		{"NetRXContext", NetRXContextBytes, &NetRXContext{}, &NetRXContext{}},
		{"NetRXEvent", NetRXEventBytes, &NetRXEvent{}, &NetRXEvent{}},
		{"Record", RecordBytes, &Record{}, &Record{}},
		{"FrameHeader", FrameHeaderBytes, &FrameHeader{}, &FrameHeader{}},
		{"Hello", HelloBytes, &Hello{}, &Hello{}},
		{"ErrorReply", ErrorReplyBytes, &ErrorReply{}, &ErrorReply{}},
		{"InstallRequest", InstallRequestBytes, &InstallRequest{}, &InstallRequest{}},
		{"InstallReply", InstallReplyBytes, &InstallReply{}, &InstallReply{}},
		{"RollbackRequest", RollbackRequestBytes, &RollbackRequest{}, &RollbackRequest{}},
		{"TrafficRequest", TrafficRequestBytes, &TrafficRequest{}, &TrafficRequest{}},
		{"PlantRequest", PlantRequestBytes, &PlantRequest{}, &PlantRequest{}},
		{"Stats", StatsBytes, &Stats{}, &Stats{}},
		{"NetRXStats", NetRXStatsBytes, &NetRXStats{}, &NetRXStats{}},
		{"Report", ReportBytes, &Report{}, &Report{}},
		{"FileChunk", FileChunkBytes, &FileChunk{}, &FileChunk{}},
		{"ExitReply", ExitReplyBytes, &ExitReply{}, &ExitReply{}},
		{"JobHeader", JobHeaderBytes, &JobHeader{}, &JobHeader{}},
		{"Listen", ListenBytes, &Listen{}, &Listen{}},
		{"Phase", PhaseBytes, &Phase{}, &Phase{}},
		{"TraceHeader", TraceHeaderBytes, &TraceHeader{}, &TraceHeader{}},
		{"TracePacket", TracePacketBytes, &TracePacket{}, &TracePacket{}},
	}
}

// TestStructs reads random bytes and writes them back, against the standard
// library's reading of the same struct as the outside witness.
func TestStructs(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	for _, c := range every() {
		in := make([]byte, c.bytes)
		for i := range in {
			in[i] = byte(random.Uint32())
		}
		if code := c.a.Get(in[:c.bytes-1]); code != ErrTruncated {
			t.Errorf("%s: one byte short gave %v", c.name, code)
		}
		if code := c.a.Get(in); code != OK {
			t.Errorf("%s: %v", c.name, code)
		}
		if err := binary.Read(bytes.NewReader(in), binary.LittleEndian, c.b); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		out := make([]byte, c.bytes)
		if n := c.a.Put(out); n != c.bytes || !bytes.Equal(in, out) {
			t.Errorf("%s (seed %d): wrote %d bytes\n in %x\nout %x", c.name, seed, n, in, out)
		}
		if n := c.b.Put(out); n != c.bytes || !bytes.Equal(in, out) {
			t.Errorf("%s (seed %d): the standard library read something else", c.name, seed)
		}
		if n := c.a.Put(out[:c.bytes-1]); n != 0 {
			t.Errorf("%s: wrote %d bytes into too short a buffer", c.name, n)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for code := OK; code < codeCount; code++ {
		name := code.String()
		if name == "unknown" || seen[name] {
			t.Errorf("code %d: name %q", code, name)
		}
		seen[name] = true
	}
	if got := Code(CodeCount).String(); got != "unknown" {
		t.Errorf("past the end: %q", got)
	}
	if got := ErrPacketBounds.String(); got != "packet-bounds" {
		t.Errorf("ErrPacketBounds: %q", got)
	}
	if got := ErrPacketBounds.Explain(); !strings.Contains(got, "data_end") {
		t.Errorf("ErrPacketBounds: %q", got)
	}
	if StageDryRun.String() != "dry-run" || VerdictRolledBack.String() != "rolled-back" || OutcomeNoConsumer.String() != "no-consumer" {
		t.Error("stage, verdict or outcome has an unexpected name")
	}
}

// sampleFrame is a whole frame around payload.
func sampleFrame(t testing.TB, kind uint16, sequence uint32, payload []byte) []byte {
	t.Helper()
	buf := make([]byte, FrameHeaderBytes+len(payload))
	if n := PutFrame(buf, kind, sequence, payload); n != len(buf) {
		t.Fatalf("PutFrame wrote %d of %d", n, len(buf))
	}
	return buf
}

func TestFrame(t *testing.T) {
	good := sampleFrame(t, MessagePing, 7, []byte("hello"))
	change := func(at int, value byte) []byte {
		b := bytes.Clone(good)
		b[at] = value
		return b
	}
	for _, c := range []struct {
		name     string
		in       []byte
		consumed int
		code     Code
	}{
		{"whole", good, len(good), OK},
		{"followed", append(bytes.Clone(good), good...), len(good), OK},
		{"empty", nil, 0, ErrTruncated},
		{"half a magic", good[:2], 0, ErrTruncated},
		{"header only", good[:FrameHeaderBytes], 0, ErrTruncated},
		{"one byte short", good[:len(good)-1], 0, ErrTruncated},
		{"noise before", append([]byte("xyz"), good...), 3, ErrMagic},
		{"noise only", []byte("xyz"), 3, ErrMagic},
		{"version", change(4, 9), len(good), ErrVersion},
		{"too long", change(11, 1), len(good), ErrTooLarge},
		{"reserved", change(20, 1), len(good), ErrBadValue},
		{"payload", change(len(good)-1, 'x'), len(good), ErrChecksum},
		{"type", change(6, 4), len(good), ErrChecksum},
		{"sequence", change(12, 8), len(good), ErrChecksum},
	} {
		header, payload, consumed, code := ParseFrame(c.in)
		if code != c.code || consumed != c.consumed {
			t.Errorf("%s: %v after %d bytes, want %v after %d", c.name, code, consumed, c.code, c.consumed)
		}
		if code == OK && (header.Type != MessagePing || header.Sequence != 7 || string(payload) != "hello") {
			t.Errorf("%s: %+v %q", c.name, header, payload)
		}
	}
	if n := PutFrame(make([]byte, FrameHeaderBytes+4), MessagePing, 1, []byte("hello")); n != 0 {
		t.Errorf("wrote %d bytes into too short a buffer", n)
	}
	if n := PutFrame(make([]byte, 2*FramePayloadMax), MessagePing, 1, make([]byte, FramePayloadMax+1)); n != 0 {
		t.Errorf("wrote a payload over the bound: %d", n)
	}
}

// FuzzParseFrame: the reader makes progress on any bytes, and what it accepts
// is what PutFrame writes.
func FuzzParseFrame(f *testing.F) {
	f.Add(sampleFrame(f, MessagePing, 1, []byte("hello")))
	f.Add([]byte("KLABKLAB"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rest := in
		for len(rest) > 0 {
			header, payload, consumed, code := ParseFrame(rest)
			if code == ErrTruncated {
				if consumed != 0 {
					t.Fatalf("needs more and yet took %d", consumed)
				}
				return
			}
			if consumed < 1 || consumed > len(rest) {
				t.Fatalf("%v took %d of %d", code, consumed, len(rest))
			}
			if code == OK {
				again := make([]byte, consumed)
				if n := PutFrame(again, header.Type, header.Sequence, payload); n != consumed || !bytes.Equal(again, rest[:consumed]) {
					t.Fatalf("not what PutFrame writes: %x and %x", again, rest[:consumed])
				}
			}
			rest = rest[consumed:]
		}
	})
}

// sampleJob builds a job with every part, by hand and not by the host's
// builder, so that the two can disagree.
func sampleJob(t testing.TB) []byte {
	t.Helper()
	program := make([]byte, 16)
	listens := []Listen{{Protocol: 17, Port: 53, PhaseMask: 1}}
	phases := []Phase{{PacketCount: 4, NeededMask: 1, Weights: [TraceFamilyMax]uint16{3, 1}}}
	frames := [][]byte{make([]byte, 60), make([]byte, 61)}

	h := JobHeader{Magic: JobMagic, Version: Version, Kind: JobMeasure, Seed: 3, PacketCount: 4}
	blob := make([]byte, JobHeaderBytes)
	h.ProgramOffset, h.ProgramBytes = uint32(len(blob)), uint32(len(program))
	blob = append(blob, program...)
	h.ListenOffset, h.ListenCount = uint32(len(blob)), uint32(len(listens))
	for _, l := range listens {
		b := make([]byte, ListenBytes)
		l.Put(b)
		blob = append(blob, b...)
	}
	h.PhaseOffset, h.PhaseCount = uint32(len(blob)), uint32(len(phases))
	for _, p := range phases {
		b := make([]byte, PhaseBytes)
		p.Put(b)
		blob = append(blob, b...)
	}
	h.TraceOffset = uint32(len(blob))
	b := make([]byte, TraceHeaderBytes)
	(&TraceHeader{Magic: TraceMagic, PacketCount: uint32(len(frames)), FlowCount: 2}).Put(b)
	blob = append(blob, b...)
	for i, frame := range frames {
		b := make([]byte, TracePacketBytes)
		(&TracePacket{Bytes: uint16(len(frame)), Label: LabelNeeded, Family: FamilyDNS, Flow: uint32(i)}).Put(b)
		blob = append(append(blob, b...), frame...)
		for len(blob)%8 != 0 {
			blob = append(blob, 0)
		}
	}
	h.TraceBytes = uint32(len(blob)) - h.TraceOffset
	h.TotalBytes = uint64(len(blob))
	h.Put(blob)
	return sign(blob)
}

// sign puts the right checksum into a changed blob.
func sign(blob []byte) []byte {
	put64(blob[jobChecksumOffset:], JobChecksum(blob))
	return blob
}

func TestJob(t *testing.T) {
	blob := sampleJob(t)
	job, code := ParseJob(blob)
	if code != OK {
		t.Fatal(code)
	}
	if len(job.Program()) != 16 || job.Listens() != 1 || job.Listen(0).Port != 53 || job.Phases() != 1 || job.Phase(0).Weights[0] != 3 {
		t.Errorf("parts: %d program bytes, listens %d, phases %d", len(job.Program()), job.Listens(), job.Phases())
	}
	if job.Listen(1) != (Listen{}) || job.Phase(-1) != (Phase{}) {
		t.Error("an absent part is not zero")
	}
	var lengths []int
	var packet TracePacket
	for packets := job.Packets(); ; {
		bytes, ok := packets.Next(&packet)
		if !ok {
			break
		}
		lengths = append(lengths, len(bytes))
	}
	if len(lengths) != 2 || lengths[0] != 60 || lengths[1] != 61 {
		t.Errorf("packets of %v bytes, want 60 and 61", lengths)
	}
}

func TestJobRefused(t *testing.T) {
	good := sampleJob(t)
	header := func(change func(*JobHeader)) []byte {
		blob := bytes.Clone(good)
		var h JobHeader
		h.Get(blob)
		change(&h)
		h.Put(blob)
		return sign(blob)
	}
	var h JobHeader
	h.Get(good)
	packet := func(change func(*TracePacket)) []byte {
		blob := bytes.Clone(good)
		at := int(h.TraceOffset) + TraceHeaderBytes
		var p TracePacket
		p.Get(blob[at:])
		change(&p)
		p.Put(blob[at:])
		return sign(blob)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name string
		blob []byte
		code Code
	}{
		{"empty", nil, ErrTruncated},
		{"cut", good[:len(good)-8], ErrTruncated},
		{"flipped", flipped, ErrChecksum},
		{"magic", header(func(h *JobHeader) { h.Magic++ }), ErrMagic},
		{"version", header(func(h *JobHeader) { h.Version++ }), ErrVersion},
		{"kind", header(func(h *JobHeader) { h.Kind = 9 }), ErrBadValue},
		{"flags", header(func(h *JobHeader) { h.Flags = 1 << 9 }), ErrBadValue},
		{"reserved", header(func(h *JobHeader) { h.Reserved[8] = 1 }), ErrBadValue},
		{"program outside", header(func(h *JobHeader) { h.ProgramOffset = 1 << 30 }), ErrBadLength},
		{"program in the header", header(func(h *JobHeader) { h.ProgramOffset = 8 }), ErrBadLength},
		{"program misaligned", header(func(h *JobHeader) { h.ProgramOffset++ }), ErrBadLength},
		{"program too long", header(func(h *JobHeader) { h.ProgramBytes = 8*ProgramInstructionsMax + 8 }), ErrTooLarge},
		{"program odd", header(func(h *JobHeader) { h.ProgramBytes-- }), ErrBadLength},
		{"listens", header(func(h *JobHeader) { h.ListenCount = JobListensMax + 1 }), ErrTooLarge},
		{"phases wrap", header(func(h *JobHeader) { h.PhaseOffset = 0xfffffff8 }), ErrBadLength},
		{"trace cut", header(func(h *JobHeader) { h.TraceBytes -= 8 }), ErrTruncated},
		{"packet short", packet(func(p *TracePacket) { p.Bytes = 13 }), ErrBadLength},
		{"packet long", packet(func(p *TracePacket) { p.Bytes = 65535 }), ErrTruncated},
		{"family", packet(func(p *TracePacket) { p.Family = TraceFamilyMax }), ErrBadValue},
		{"label", packet(func(p *TracePacket) { p.Label = 2 }), ErrBadValue},
		{"flow", packet(func(p *TracePacket) { p.Flow = 2 }), ErrBadValue},
	} {
		if _, code := ParseJob(c.blob); code != c.code {
			t.Errorf("%s: %v, want %v", c.name, code, c.code)
		}
	}
}

// FuzzParseJob: whatever is accepted can be walked to its end. The checksum is
// put right, else the fuzzer would never pass it.
func FuzzParseJob(f *testing.F) {
	f.Add(sampleJob(f))
	f.Add([]byte("KLABJOB1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) >= JobHeaderBytes {
			var h JobHeader
			h.Get(in)
			if h.TotalBytes <= uint64(len(in)) && h.TotalBytes >= JobHeaderBytes {
				sign(in[:h.TotalBytes])
			}
		}
		job, code := ParseJob(in)
		if code != OK {
			return
		}
		for i := range job.Listens() {
			job.Listen(i)
		}
		for i := range job.Phases() {
			job.Phase(i)
		}
		var packet TracePacket
		packets := job.Packets()
		for i := range job.Trace.PacketCount {
			if bytes, ok := packets.Next(&packet); !ok || len(bytes) != int(packet.Bytes) {
				t.Fatalf("accepted, but packet %d of %d is not there", i, job.Trace.PacketCount)
			}
		}
		if _, ok := packets.Next(&packet); ok {
			t.Fatal("more packets than the header says")
		}
	})
}

func TestNoAllocations(t *testing.T) {
	blob, frame := sampleJob(t), sampleFrame(t, MessagePing, 1, []byte("hello"))
	buf := make([]byte, 256)
	if n := testing.AllocsPerRun(100, func() {
		ParseFrame(frame)
		PutFrame(buf, MessagePong, 1, frame[FrameHeaderBytes:])
		if job, code := ParseJob(blob); code == OK {
			var packet TracePacket
			packets := job.Packets()
			packets.Next(&packet)
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
