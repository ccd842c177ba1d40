package review

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

// shop is a window in which TCP 80 is wanted, UDP 9 is not, and one source is
// a good customer.
func shop() *telemetry.Snapshot {
	s := new(telemetry.Snapshot)
	add := func(slot telemetry.Slot, wanted, junk uint32) {
		slot.Count = telemetry.Count{Wanted: wanted, Junk: junk}
		slot.Dominant, slot.Purity = abi.OutcomeDelivered, uint16(1000*wanted/(wanted+junk))
		if junk > wanted {
			slot.Dominant, slot.Purity = abi.OutcomeNoConsumer, uint16(1000*junk/(wanted+junk))
		}
		s.Slots[s.SlotCount] = slot
		s.SlotCount++
	}
	add(telemetry.Slot{Field: telemetry.FieldAll}, 600, 424)
	add(telemetry.Slot{Field: telemetry.FieldDestinationPort, Protocol: 6, Value: 80}, 500, 0)
	add(telemetry.Slot{Field: telemetry.FieldDestinationPort, Protocol: 17, Value: 9}, 0, 400)
	add(telemetry.Slot{Field: telemetry.FieldSource, Value: 0x0a000005}, 100, 2)
	add(telemetry.Slot{Field: telemetry.FieldSourceNet, Value: 0x0a0000}, 300, 300)
	return s
}

const head = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 42\nif r4 > r3 goto pass\n"
const tail = "\nr0 = 1\nexit\npass: r0 = 2\nexit"

func TestReview(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       abi.Code
		slot       int32
	}{
		{"drop all", "r0 = 1\nexit", abi.ErrRefused, 1},
		{"pass all", "r0 = 2\nexit", abi.OK, -1},
		{"drop the wanted port", head + "r5 = *(u16 *)(r2 + 36)\nif r5 != 20480 goto pass" + tail, abi.ErrRefused, 1},
		{"drop the junk port", head + "r5 = *(u16 *)(r2 + 36)\nif r5 != 2304 goto pass" + tail, abi.OK, -1},
		{"drop part of the wanted port", head + "r5 = *(u16 *)(r2 + 36)\nif r5 != 20480 goto pass\nr5 = *(u8 *)(r2 + 47)\nif r5 != 2 goto pass" + tail, abi.OK, -1},
		{"drop the good customer", head + "w5 = *(u32 *)(r2 + 26)\nif w5 != 83886090 goto pass" + tail, abi.ErrRefused, 3},
		{"drop a mixed network", head + "r5 = *(u32 *)(r2 + 26)\nr5 &= 16777215\nif r5 != 10 goto pass" + tail, abi.ErrRefused, 3},
		{"drop every TCP packet", head + "r5 = *(u8 *)(r2 + 23)\nif r5 != 6 goto pass" + tail, abi.ErrRefused, 1},
		{"drop all but UDP", head + "r5 = *(u8 *)(r2 + 23)\nif r5 == 17 goto pass" + tail, abi.ErrRefused, 1},
		{"a loop is for analyze", "r0 = 1\nx: r0 += 1\nif r0 < 5 goto x\nexit", abi.OK, -1},
		{"runs off the end", "r0 = 1", abi.OK, -1},
		{"a call is not understood", "call 7\nr0 = 1\nexit", abi.OK, -1},
	} {
		out := make([]bpf.Instruction, 64)
		n, place, code := bpf.Assemble([]byte(c.text), out)
		if code != abi.OK {
			t.Fatalf("%s: %d:%d: %v", c.name, place.Line, place.Column, code)
		}
		var r Reviewer
		if report := r.Check(out[:n], shop()); report.Code != c.code || report.Slot != c.slot {
			t.Errorf("%s: %v for slot %d, want %v for %d", c.name, report.Code, report.Slot, c.code, c.slot)
		}
	}
}

// Any bytes: no panic, bounded work.
func FuzzReview(f *testing.F) {
	f.Add([]byte{0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x61, 0x12, 0, 0, 0, 0, 0, 0, 0x71, 0x25, 0xff, 0x7f, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0})
	s := shop()
	f.Fuzz(func(t *testing.T, wire []byte) {
		var out []bpf.Instruction
		for ; len(wire) >= bpf.SlotBytes; wire = wire[bpf.SlotBytes:] {
			out = append(out, bpf.DecodeSlot(wire))
		}
		var r Reviewer
		if report := r.Check(out, s); report.Steps > uint32(s.SlotCount)*(stepsMax+1) {
			t.Errorf("%d steps", report.Steps)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	out := make([]bpf.Instruction, 64)
	n, _, _ := bpf.Assemble([]byte(head+"r5 = *(u16 *)(r2 + 36)\nif r5 != 2304 goto pass"+tail), out)
	s, r := shop(), new(Reviewer)
	if n := testing.AllocsPerRun(10, func() { r.Check(out[:n], s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
