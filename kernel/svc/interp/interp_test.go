package interp

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

func load(t testing.TB, text string) *Loaded {
	t.Helper()
	out := make([]bpf.Instruction, 512)
	count, place, code := bpf.Assemble([]byte(text), out)
	if code != abi.OK {
		t.Fatalf("%d:%d: code %d", place.Line, place.Column, code)
	}
	a, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: bpf.TypeXDP, Instructions: out[:count]}, new(analyze.Workspace))
	if report.Code != abi.OK {
		t.Fatalf("analyze: code %d at %d", report.Code, report.Instruction)
	}
	p, fault := verify.Check(a, verify.NewWorkspace())
	if fault.Code != abi.OK {
		t.Fatalf("verify: code %d at %d", fault.Code, fault.Instruction)
	}
	l := new(Loaded)
	if code := Load(p, l); code != abi.OK {
		t.Fatalf("load: code %d", code)
	}
	if l.DigestInPlace() != p.Digest() {
		t.Fatal("the loaded program is not the verified one")
	}
	return l
}

// filter passes TCP to port 80 and drops the rest, as a person would write it.
const filter = `; type: xdp
	r2 = *(u32 *)(r1 + 0)
	r3 = *(u32 *)(r1 + 4)
	r4 = r2
	r4 += 34
	if r4 > r3 goto pass
	r5 = *(u16 *)(r2 + 12)
	r5 = be16 r5
	if r5 != 0x800 goto pass
	r5 = *(u8 *)(r2 + 23)
	if r5 != 6 goto drop
	r5 = *(u8 *)(r2 + 14)
	r5 &= 15
	r5 <<= 2
	r2 += 14
	r2 += r5
	r4 = r2
	r4 += 4
	if r4 > r3 goto pass
	r5 = *(u16 *)(r2 + 2)
	r5 = be16 r5
	if r5 == 80 goto pass
drop:
	r0 = 1
	exit
pass:
	r0 = 2
	exit`

func packetTo(port uint16, bytes int) []byte {
	packet := make([]byte, bytes)
	packet[12], packet[14], packet[23] = 8, 0x45, 6
	if bytes > 38 {
		packet[36], packet[37] = byte(port>>8), byte(port)
	}
	return packet
}

func TestFilter(t *testing.T) {
	l := load(t, filter)
	var m Machine
	for _, c := range []struct {
		name   string
		packet []byte
		wire   int
		result uint64
		steps  uint32
		code   abi.Code
	}{
		{"port 80", packetTo(80, 60), 60, 2, 23, abi.OK},
		{"port 81", packetTo(81, 60), 60, 1, 23, abi.OK},
		{"short", packetTo(80, 33), 33, 2, 7, abi.OK},
		{"empty", nil, 0, 2, 7, abi.OK},
		{"recorded in part", packetTo(80, 36), 60, 0, 19, abi.ErrSnapTruncated},
	} {
		context := abi.NetRXContext{DataEnd: uint32(c.wire)}
		result, steps, code := l.Run(&m, &context, c.packet, c.wire)
		if result != c.result || steps != c.steps || code != c.code {
			t.Errorf("%s: r0 %d after %d steps, code %d; want %d after %d, code %d", c.name, result, steps, code, c.result, c.steps, c.code)
		}
	}
}

func TestContextAndWrites(t *testing.T) {
	l := load(t, `
		r2 = *(u32 *)(r1 + 0)
		r3 = *(u32 *)(r1 + 4)
		r6 = *(u32 *)(r1 + 12)
		r1 += 16
		r7 = *(u32 *)(r1 + 0)
		*(u8 *)(r10 - 1) = r7
		r8 = *(u8 *)(r10 - 1)
		r4 = r2
		r4 += 8
		if r4 > r3 goto out
		*(u16 *)(r2 + 0) = r6
		*(u32 *)(r2 + 4) = -2
		r0 = r8
		exit
	out:
		r0 = 0
		exit`)
	if !l.WritesPacket() {
		t.Error("it writes and does not say so")
	}
	packet := make([]byte, 8)
	result, _, code := l.Run(new(Machine), &abi.NetRXContext{IngressIfindex: 0x10203, RxQueueIndex: 5}, packet, 8)
	if code != abi.OK || result != 5 || string(packet) != "\x03\x02\x00\x00\xfe\xff\xff\xff" {
		t.Errorf("r0 %d, code %d, packet %x", result, code, packet)
	}
}

func TestNoAllocations(t *testing.T) {
	l := load(t, filter)
	m := new(Machine)
	packet := packetTo(80, 60)
	context := &abi.NetRXContext{}
	if got := testing.AllocsPerRun(100, func() { l.Run(m, context, packet, 60) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkFilter(b *testing.B) {
	l := load(b, filter)
	var m Machine
	packet := packetTo(81, 60)
	context := &abi.NetRXContext{}
	total := uint64(0)
	for i := 0; i < b.N; i++ {
		_, steps, _ := l.Run(&m, context, packet, 60)
		total += uint64(steps)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/insn")
}
