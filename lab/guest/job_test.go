package guest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// TestAppendJob: what goes in comes out of the guest's parser, for jobs with
// and without each part.
func TestAppendJob(t *testing.T) {
	trace := make([]byte, abi.TraceHeaderBytes)
	(&abi.TraceHeader{Magic: abi.TraceMagic, PacketCount: 1, FlowCount: 1}).Put(trace)
	packet := make([]byte, abi.TracePacketBytes+64)
	(&abi.TracePacket{Bytes: 61, Label: abi.LabelNeeded}).Put(packet)
	packet[abi.TracePacketBytes+60] = 0x5a
	trace = append(trace, packet...)
	full := JobSpec{Kind: abi.JobMeasure, Seed: 42, Nonce: [32]byte{1, 2, 3}, Program: bytes.Repeat([]byte{0x95, 0, 0, 0, 0, 0, 0, 0}, 3),
		Trace: trace, Listens: []abi.Listen{{Protocol: 17, Port: 53, PhaseMask: 1}, {Protocol: 6, Port: 80, PhaseMask: 3}},
		Phases:      []abi.Phase{{PacketCount: 10, NeededMask: 3, Weights: [abi.TraceFamilyMax]uint16{1, 2, 3}}},
		PacketCount: 1000, IntervalNS: 7, Repeat: 5}
	for mask := range 16 {
		spec := full
		if mask&1 == 0 {
			spec.Program = nil
		}
		if mask&2 == 0 {
			spec.Trace = nil
		}
		if mask&4 == 0 {
			spec.Listens = nil
		}
		if mask&8 == 0 {
			spec.Phases = nil
		}
		blob, err := AppendJob([]byte("12345678"), spec)
		if err != nil {
			t.Fatalf("parts %04b: %v", mask, err)
		}
		job, code := abi.ParseJob(blob[8:])
		if code != abi.OK {
			t.Fatalf("parts %04b: %v", mask, code)
		}
		compareJob(t, job, spec)
	}
}

func compareJob(t *testing.T, job abi.Job, spec JobSpec) {
	t.Helper()
	h := job.Header
	if h.Kind != spec.Kind || h.Seed != spec.Seed || h.Nonce != spec.Nonce || h.PacketCount != spec.PacketCount ||
		h.IntervalNS != spec.IntervalNS || h.Repeat != spec.Repeat || !bytes.Equal(job.Program(), spec.Program) ||
		job.Listens() != len(spec.Listens) || job.Phases() != len(spec.Phases) {
		t.Errorf("header %+v, want %+v", h, spec)
	}
	for i, listen := range spec.Listens {
		if job.Listen(i) != listen {
			t.Errorf("listen %d: %+v, want %+v", i, job.Listen(i), listen)
		}
	}
	for i, phase := range spec.Phases {
		if job.Phase(i) != phase {
			t.Errorf("phase %d: %+v, want %+v", i, job.Phase(i), phase)
		}
	}
	if spec.Trace != nil {
		packets := job.Packets()
		var packet abi.TracePacket
		frame, ok := packets.Next(&packet)
		if !ok || len(frame) != 61 || frame[60] != 0x5a || packet.Label != abi.LabelNeeded {
			t.Errorf("packet %+v, %d bytes, %v", packet, len(frame), ok)
		}
	}
}

// TestAppendJobRefuses what a guest would refuse.
func TestAppendJobRefuses(t *testing.T) {
	for name, spec := range map[string]JobSpec{
		"kind":            {Kind: 99},
		"flags":           {Flags: 1 << 31},
		"odd program":     {Program: make([]byte, 9)},
		"long program":    {Program: make([]byte, 8*abi.ProgramInstructionsMax+8)},
		"many listens":    {Listens: make([]abi.Listen, abi.JobListensMax+1)},
		"empty listen":    {Listens: make([]abi.Listen, 1)},
		"many phases":     {Phases: make([]abi.Phase, abi.JobPhasesMax+1)},
		"trace of zeroes": {Trace: make([]byte, 64)},
		"huge":            {Trace: make([]byte, abi.JobBytesMax)},
	} {
		if _, err := AppendJob(nil, spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := AppendJob(make([]byte, 3), JobSpec{}); err == nil {
		t.Error("a job at an odd offset was accepted")
	}
}

// TestAppendCPIOFile: headers and names as the format says, at any base length.
func TestAppendCPIOFile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		base := make([]byte, random.IntN(100))
		content := make([]byte, random.IntN(100))
		archive := AppendCPIOFile(base, "job", 0o400, content)
		start := (len(base) + 3) &^ 3
		if !bytes.HasPrefix(archive[start:], []byte("07070100000001000081000000")) {
			t.Fatalf("header %q", archive[start:start+30])
		}
		const headerBytes = 110
		data := (start + headerBytes + len("job") + 1 + 3) &^ 3
		if !bytes.Equal(archive[data:data+len(content)], content) {
			t.Fatal("content is not where the format puts it")
		}
		if !bytes.Contains(archive[data+len(content):], []byte("TRAILER!!!\x00")) || len(archive)%4 != 0 {
			t.Fatal("no trailer")
		}
	}
}
