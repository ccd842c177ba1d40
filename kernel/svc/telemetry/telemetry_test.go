package telemetry_test

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/sim"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

func record(t testing.TB, seed uint64, mix sim.Mix) *telemetry.Window {
	k := sim.New(seed, 4)
	t.Cleanup(k.Close)
	k.Serve()
	w := new(telemetry.Window)
	k.Record(mix, w)
	return w
}

func snapshotOf(t testing.TB, w *telemetry.Window) *telemetry.Snapshot {
	var b telemetry.Builder
	s := new(telemetry.Snapshot)
	b.Begin(s)
	for steps := 0; !b.Step(w, s, 32); steps++ {
		if steps > 2*telemetry.WindowEvents {
			t.Fatal("the snapshot never ends")
		}
	}
	return s
}

func find(s *telemetry.Snapshot, field telemetry.Field, protocol uint8, value uint32) *telemetry.Slot {
	for i := 0; i < s.SlotCount; i++ {
		slot := &s.Slots[i]
		if slot.Field == field && slot.Protocol == protocol && slot.Value == value {
			return slot
		}
	}
	return nil
}

func TestSnapshotCountsExactly(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := record(t, seed, sim.Office().With(100, sim.Scan).With(60, sim.Datagrams(5353)))
		s := snapshotOf(t, w)
		if s.Events != telemetry.WindowEvents {
			t.Fatalf("seed %d: %d events", seed, s.Events)
		}
		for i := 0; i < s.SlotCount; i++ {
			slot, want := &s.Slots[i], telemetry.Count{}
			for e := 0; e < w.Count; e++ {
				if !slot.Matches(&w.Packets[e]) {
					continue
				}
				switch w.Packets[e].Verdict {
				case telemetry.VerdictWanted:
					want.Wanted++
				case telemetry.VerdictJunk:
					want.Junk++
				default:
					want.Unknown++
				}
			}
			if slot.Count != want {
				t.Errorf("seed %d slot %d: %+v, counted by hand %+v", seed, i, slot.Count, want)
			}
			if i > 1 && slot.Share > s.Slots[i-1].Share {
				t.Errorf("seed %d: slot %d is out of order", seed, i)
			}
			if slot.With.Total()+slot.Without.Total() != 0 && slot.With.Total()+slot.Without.Total() != slot.Count.Total() {
				t.Errorf("seed %d slot %d: the sides of the split do not add up", seed, i)
			}
			if c := slot.Container; c >= 0 && s.Slots[c].Count.Total() <= slot.Count.Total() {
				t.Errorf("seed %d slot %d: contained in a smaller slot", seed, i)
			}
		}
	}
}

func TestSnapshotNamesWhatIsThere(t *testing.T) {
	s := snapshotOf(t, record(t, 3, sim.Office().With(100, sim.Scan).With(60, sim.Datagrams(5353))))
	if port := find(s, telemetry.FieldDestinationPort, telemetry.ProtocolUDP, 5353); port == nil || port.Count.Wanted != 0 || port.Dominant != abi.OutcomeNoConsumer || port.Purity != 1000 {
		t.Errorf("the junk port: %+v", port)
	}
	if scanner := find(s, telemetry.FieldSource, 0, 0xc6336400); scanner == nil || scanner.Ports < 20 {
		t.Errorf("the scanner: %+v", scanner)
	}
	class := find(s, telemetry.FieldClass, telemetry.ProtocolTCP, telemetry.FlagSYN)
	if class == nil || class.Count.Unwanted() < class.Count.Wanted {
		t.Errorf("SYN: %+v", class)
	}
	if !s.PortsComplete || s.PortCount != 3 {
		t.Errorf("%d served ports, complete %v", s.PortCount, s.PortsComplete)
	}
	if s.MeanCost(abi.OutcomeNoConsumer) <= s.MeanCost(abi.OutcomeMalformed) || s.MeanCost(abi.OutcomeSteered) != 0 {
		t.Errorf("costs: %v over %v", s.CostByOutcome, s.ByOutcome)
	}
}

// Scan and name service are told apart by the flag alone, but for the rare SYN
// that met a served port.
func TestSplitFindsTheScan(t *testing.T) {
	s := snapshotOf(t, record(t, 4, sim.Mix{{Weight: 3, Make: sim.Datagrams(53)}, {Weight: 3, Make: sim.Scan}}))
	all := &s.Slots[0]
	if all.Split != telemetry.AttributeSYNOnly || all.With.Wanted > 3 || all.Without.Junk != 0 {
		t.Errorf("%+v", all)
	}
}

func TestDecodeIgnoresWhatProgramsMustNotTouch(t *testing.T) {
	for name, p := range map[string]sim.Packet{
		"options":  {Protocol: 17, Source: 1, DestinationPort: 53, Options: true},
		"fragment": {Protocol: 17, Source: 1, DestinationPort: 53, Fragment: true},
	} {
		w := new(telemetry.Window)
		frame := p.Frame()
		event := abi.NetRXEvent{PacketBytes: uint16(len(frame)), Outcome: abi.OutcomeNoConsumer}
		event.SnapBytes = uint16(copy(event.Snap[:], frame))
		w.Add(&event)
		if w.Packets[0].Kind != telemetry.KindOther {
			t.Errorf("%s: decoded as %+v", name, w.Packets[0])
		}
	}
}

func TestWindowIsBounded(t *testing.T) {
	w := new(telemetry.Window)
	event := abi.NetRXEvent{CPU: 3}
	for i := 0; i < telemetry.WindowEvents; i++ {
		if !w.Add(&event) {
			t.Fatal("refused too early")
		}
	}
	if w.Add(&event) || !w.Full() || w.BusiestCPU() != 3 {
		t.Error("an event too many was taken")
	}
}

// Records from a hostile ring: lengths that lie, outcomes and CPUs that do not
// exist.
func FuzzWindow(f *testing.F) {
	f.Add(make([]byte, 128))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		w := new(telemetry.Window)
		for len(bytes) >= 128 {
			var event abi.NetRXEvent
			event.Get(bytes)
			w.Add(&event)
			bytes = bytes[128:]
		}
		s := snapshotOf(t, w)
		if int(s.Events) != w.Count || w.BusiestCPU() >= abi.CPUMax {
			t.Errorf("%d events of %d", s.Events, w.Count)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	w := record(t, 5, sim.Office().With(100, sim.Scan))
	var b telemetry.Builder
	var copied telemetry.Window
	s := new(telemetry.Snapshot)
	if n := testing.AllocsPerRun(5, func() {
		copied.Clear()
		for i := 0; i < w.Count; i++ {
			copied.Add(&w.Events[i])
		}
		b.Begin(s)
		for !b.Step(&copied, s, 32) {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
