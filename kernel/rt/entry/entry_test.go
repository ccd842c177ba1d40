// The exports as C calls them, on the host, against a kernel that records.

package main

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
)

// recorder is a kernel that remembers the last frame and has nothing to offer.
type recorder struct {
	header  abi.FrameHeader
	payload [256]byte
	bytes   int
	frames  int
}

func (r *recorder) NowNS() uint64                              { return 0 }
func (r *recorder) Instructions() uint64                       { return 0 }
func (r *recorder) CPUs() int                                  { return 4 }
func (r *recorder) RingRead(int, *abi.NetRXEvent) bool         { return false }
func (r *recorder) RingLost(int) uint64                        { return 0 }
func (r *recorder) Publish(abi.HookID, int, uint32, uint32)    {}
func (r *recorder) LoadCode(abi.HookID, int, []byte) bool      { return true }
func (r *recorder) Quiescent(abi.HookID, int) bool             { return true }
func (r *recorder) HookStats(abi.HookID, int, *abi.NetRXStats) {}
func (r *recorder) Log([]byte)                                 {}

func (r *recorder) SendFrame(frame []byte) {
	header, payload, _, _ := abi.ParseFrame(frame)
	r.header, r.bytes = header, copy(r.payload[:], payload)
	r.frames++
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	previous := rt.SetBackend(r)
	t.Cleanup(func() { rt.SetBackend(previous) })
	return r
}

func frame(kind uint16, payload []byte) []byte {
	buf := make([]byte, abi.FrameHeaderBytes+len(payload))
	return buf[:abi.PutFrame(buf, kind, 7, payload)]
}

func TestControl(t *testing.T) {
	r := record(t)
	svcBoot(4, abi.JobLive, 0, 0, 0, 0)
	install := func(hook, programBytes uint32, program []byte) []byte {
		payload := make([]byte, abi.InstallRequestBytes+len(program))
		(&abi.InstallRequest{Hook: hook, ProgramBytes: programBytes}).Put(payload)
		copy(payload[abi.InstallRequestBytes:], program)
		return payload
	}
	for _, c := range []struct {
		name    string
		kind    uint16
		payload []byte
		answer  uint16
		code    abi.Code
	}{
		{"ping", abi.MessagePing, []byte("hello"), abi.MessagePong, abi.OK},
		{"longest ping", abi.MessagePing, make([]byte, 64), abi.MessagePong, abi.OK},
		{"long ping", abi.MessagePing, make([]byte, 65), abi.MessageError, abi.ErrTooLarge},
		{"install cut", abi.MessageInstall, make([]byte, 47), abi.MessageError, abi.ErrTruncated},
		{"install on no hook", abi.MessageInstall, install(9, 8, make([]byte, 8)), abi.MessageError, abi.ErrUnknownHook},
		{"install of nothing", abi.MessageInstall, install(1, 0, nil), abi.MessageError, abi.ErrEmpty},
		{"install odd", abi.MessageInstall, install(1, 7, make([]byte, 7)), abi.MessageError, abi.ErrBadLength},
		{"install contradicts", abi.MessageInstall, install(1, 16, make([]byte, 8)), abi.MessageError, abi.ErrBadLength},
		{"rollback cut", abi.MessageRollback, make([]byte, 7), abi.MessageError, abi.ErrBadLength},
		{"rollback of no hook", abi.MessageRollback, make([]byte, 8), abi.MessageError, abi.ErrUnknownHook},
		{"unknown", 1000, nil, abi.MessageError, abi.ErrUnsupported},
	} {
		r.frames = 0
		in := frame(c.kind, c.payload)
		code := abi.Code(int32(uint32(svcControl(&in[0], uint64(len(in)), 0, 0, 0, 0))))
		if code != c.code || r.frames != 1 || r.header.Type != c.answer || r.header.Sequence != 7 {
			t.Errorf("%s: code %v, %d answers, the last of type %d to %d", c.name, code, r.frames, r.header.Type, r.header.Sequence)
			continue
		}
		if c.answer == abi.MessagePong && string(r.payload[:r.bytes]) != string(c.payload) {
			t.Errorf("%s: echoed %q", c.name, r.payload[:r.bytes])
		}
		var refusal abi.ErrorReply
		if c.answer == abi.MessageError && (refusal.Get(r.payload[:r.bytes]) != abi.OK || refusal.Code != c.code) {
			t.Errorf("%s: refused with %v", c.name, refusal.Code)
		}
	}
}

func TestControlScan(t *testing.T) {
	good := frame(abi.MessagePing, []byte("x"))
	noise := append([]byte("??"), good...)
	for _, c := range []struct {
		name  string
		in    []byte
		code  abi.Code
		bytes uint32
	}{
		{"whole", good, abi.OK, uint32(len(good))},
		{"half", good[:10], abi.ErrTruncated, 0},
		{"noise first", noise, abi.ErrMagic, 2},
	} {
		got := svcControlScan(&c.in[0], uint64(len(c.in)), 0, 0, 0, 0)
		if got != answer(c.code, c.bytes) {
			t.Errorf("%s: %#x, want %v and %d", c.name, got, c.code, c.bytes)
		}
	}
}

// emptyJob is the smallest valid job: a header.
func emptyJob() []byte {
	blob := make([]byte, abi.JobHeaderBytes)
	header := abi.JobHeader{Magic: abi.JobMagic, Version: abi.Version, Kind: abi.JobMeasure,
		TotalBytes: abi.JobHeaderBytes, Seed: 5, Nonce: [32]byte{1, 2}, PacketCount: 9}
	header.Put(blob)
	header.Checksum = abi.JobChecksum(blob)
	header.Put(blob)
	return blob
}

func TestJob(t *testing.T) {
	blob, out := emptyJob(), jobView{}
	if got := svcJob(&blob[0], uint64(len(blob)), &out, 0, 0, 0); got != answer(abi.OK, 0) {
		t.Fatalf("%#x", got)
	}
	if out.Seed != 5 || out.Nonce[1] != 2 || out.Kind != abi.JobMeasure || out.PacketCount != 9 {
		t.Errorf("%+v", out)
	}
	blob[20] ^= 1
	out = jobView{Seed: 77}
	if got := svcJob(&blob[0], uint64(len(blob)), &out, 0, 0, 0); got == answer(abi.OK, 0) || out.Seed != 77 {
		t.Errorf("a damaged job gave %#x and a view %+v", got, out)
	}
}

// TestPlant: the plant is a real panic, changes state before it, and a reset
// of its service on that CPU gives the state back and no other CPU's.
func TestPlant(t *testing.T) {
	record(t)
	plant := func(cpu uint64) (panicked bool) {
		defer func() { panicked = recover() != nil }()
		svcPlant(abi.PlantServicePanic, 1000, cpu, 0, 0, 0)
		return false
	}
	if !plant(1) || !plant(2) {
		t.Fatal("an index far outside did not panic")
	}
	svcReset(serviceControl, 1, 0, 0, 0, 0)
	if m1, m2 := svcPlantMarks(1, 0, 0, 0, 0, 0), svcPlantMarks(2, 0, 0, 0, 0, 0); m1 != 0 || m2 != 1 {
		t.Errorf("marks after the reset of CPU 1: %d and %d, want 0 and 1", m1, m2)
	}
	svcReset(serviceControl, 2, 0, 0, 0, 0)
	if got := svcPlant(abi.PlantKernelPanic, 0, 0, 0, 0, 0); got != answer(abi.ErrUnsupported, 0) {
		t.Errorf("another plant: %#x", got)
	}
	if got := svcReset(99, 0, 0, 0, 0, 0); got != answer(abi.ErrNotFound, 0) {
		t.Errorf("reset of no service: %#x", got)
	}
}

// TestArmedServices: an armed service panics as often as asked, on its CPU
// only, and each reset counts one.
func TestArmedServices(t *testing.T) {
	record(t)
	svcBoot(4, abi.JobLive, 0, 0, 0, 0)
	packet, context := make([]byte, 60), abi.NetRXContext{DataEnd: 60}
	panics := func(call func()) (panicked bool) {
		defer func() { panicked = recover() != nil }()
		call()
		return false
	}
	for _, c := range []struct {
		name    string
		kind    uint64
		service uint64
		call    func()
	}{
		{"net.rx", abi.PlantNetRXPanic, serviceNetRX, func() { svcNetRX(1, 3, &context, &packet[0], 60, 0) }},
		{"pump", abi.PlantPumpPanic, servicePipeline, func() { svcPump(1, 0, 0, 0, 0, 0) }},
	} {
		const times = 3
		if got := svcPlant(c.kind, times, 1, 0, 0, 0); got != answer(abi.OK, 0) {
			t.Fatalf("%s: %#x", c.name, got)
		}
		if panics(func() { svcNetRX(2, 3, &context, &packet[0], 60, 0) }) {
			t.Errorf("%s: another CPU panicked", c.name)
		}
		for n := range times {
			for try := range 2 { // a panic disarms nothing: only the reset does
				if !panics(c.call) {
					t.Errorf("%s: no panic before reset %d, try %d", c.name, n, try)
				}
			}
			svcReset(c.service, 1, 0, 0, 0, 0)
		}
		if panics(c.call) {
			t.Errorf("%s: still armed after %d resets", c.name, times)
		}
	}
}

func TestNetRXWithoutProgram(t *testing.T) {
	record(t)
	svcBoot(4, abi.JobLive, 0, 0, 0, 0)
	packet := make([]byte, 60)
	context := abi.NetRXContext{DataEnd: 60}
	if got := svcNetRX(0, 3, &context, &packet[0], 60, 0); got != netRXError|abi.NetRXAborted {
		t.Errorf("an empty slot answered %#x", got)
	}
}

func TestNoAllocations(t *testing.T) {
	record(t)
	blob, out, ping := emptyJob(), jobView{}, frame(abi.MessagePing, []byte("x"))
	if n := testing.AllocsPerRun(100, func() {
		svcJob(&blob[0], uint64(len(blob)), &out, 0, 0, 0)
		svcControlScan(&ping[0], uint64(len(ping)), 0, 0, 0, 0)
		svcControl(&ping[0], uint64(len(ping)), 0, 0, 0, 0)
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
