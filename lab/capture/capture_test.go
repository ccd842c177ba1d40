package capture

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

func committedTrace(t *testing.T) *Trace {
	t.Helper()
	trace, err := Committed()
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

func TestCommittedCaptureHoldsEveryFamily(t *testing.T) {
	trace := committedTrace(t)
	packets, flows := map[uint8]int{}, map[uint8]map[uint32]bool{}
	owner := map[uint32][2]uint8{}
	for _, packet := range trace.Packets {
		packets[packet.Family]++
		if flows[packet.Family] == nil {
			flows[packet.Family] = map[uint32]bool{}
		}
		flows[packet.Family][packet.Flow] = true
		is := [2]uint8{packet.Family, packet.Label}
		if was, seen := owner[packet.Flow]; seen && was != is {
			t.Errorf("flow %d is family/label %v and %v", packet.Flow, was, is)
		}
		owner[packet.Flow] = is
	}
	if len(owner) != int(trace.Flows) {
		t.Errorf("%d flows used, %d counted", len(owner), trace.Flows)
	}
	for family, least := range map[uint8]int{
		abi.FamilyDNS: 100, abi.FamilyHTTP: 100, abi.FamilyTLS: 50, abi.FamilyPing: 20, abi.FamilyScan: 500,
		abi.FamilyUDPJunk: 200, abi.FamilyAbuse: 100, FamilyLate: 50,
	} {
		t.Logf("family %d: %d packets, %d flows", family, packets[family], len(flows[family]))
		if packets[family] < least {
			t.Errorf("family %d has %d packets, want %d or more", family, packets[family], least)
		}
		if len(flows[family]) < 4 {
			t.Errorf("family %d has only %d flows", family, len(flows[family]))
		}
	}
}

// Every rule of a line that somebody might try first must lose something
// needed, or keep most of the junk: else the campaign measures nothing.
func TestNoShortRuleWins(t *testing.T) {
	trace := committedTrace(t)
	parsed := make([]layout, len(trace.Packets))
	for index, packet := range trace.Packets {
		parts, err := parseFrame(packet.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		parsed[index] = parts
	}
	drop := func(rule func(Labelled, layout) bool) (lost, removed, junk int) {
		for index, packet := range trace.Packets {
			dropped := rule(packet, parsed[index])
			switch {
			case packet.Label == abi.LabelJunk && dropped:
				removed, junk = removed+1, junk+1
			case packet.Label == abi.LabelJunk:
				junk++
			case dropped && packet.Family != FamilyLate: // late is not needed at first
				lost++
			}
		}
		return lost, removed, junk
	}
	refuse := func(name string, rule func(Labelled, layout) bool) {
		if lost, removed, junk := drop(rule); lost == 0 && removed*2 > junk {
			t.Errorf("%s removes %d of %d junk packets and loses nothing needed", name, removed, junk)
		}
	}
	ports := map[uint16]int{}
	for _, parts := range parsed {
		ports[parts.header.DestinationPort]++
	}
	for port := range ports {
		refuse("keep only one port", func(_ Labelled, parts layout) bool { return parts.header.DestinationPort != port })
		refuse("drop one port", func(_ Labelled, parts layout) bool { return parts.header.DestinationPort == port })
	}
	for at := range 60 {
		for value := range 256 {
			refuse("drop by one byte", func(packet Labelled, _ layout) bool {
				return at < len(packet.Bytes) && packet.Bytes[at] == byte(value)
			})
		}
	}
	for _, host := range AllHosts() {
		refuse("drop one source", func(_ Labelled, parts layout) bool { return parts.header.Source == host })
	}
}

func TestDropEverySuspectLosesNeeded(t *testing.T) {
	trace := committedTrace(t)
	suspects := map[string]bool{Scanners[0].String(): true}
	for _, abuser := range Abusers {
		suspects[abuser.Source.String()] = true
	}
	lost := map[string]int{}
	for _, packet := range trace.Packets {
		parts, _ := parseFrame(packet.Bytes)
		if packet.Label == abi.LabelNeeded {
			lost[parts.header.Source.String()]++
		}
	}
	for suspect := range suspects {
		if lost[suspect] == 0 {
			t.Errorf("%s sends nothing needed: dropping it by address would be free", suspect)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	packets, err := ReadPcap(committed)
	if err != nil {
		t.Fatal(err)
	}
	if string(WritePcap(packets)) != string(committed) {
		t.Error("pcap read and written again differs")
	}
	trace := committedTrace(t)
	again, err := DecodeTrace(trace.Encode())
	if err != nil {
		t.Fatal(err)
	}
	again.Skipped = trace.Skipped // not part of the format
	if !reflect.DeepEqual(trace, again) {
		t.Error("trace encoded and decoded again differs")
	}
}

func TestHostileFilesAreRefusedWithTheirOffset(t *testing.T) {
	change := func(at int, bytes ...byte) []byte {
		data := append([]byte(nil), committed[:400]...)
		copy(data[at:], bytes)
		return data
	}
	for _, c := range []struct {
		name   string
		data   []byte
		offset int
		code   abi.Code
	}{
		{"empty", nil, 0, abi.ErrTruncated},
		{"half a header", committed[:12], 12, abi.ErrTruncated},
		{"pcapng", change(0, 0x0a, 0x0d, 0x0d, 0x0a), 0, abi.ErrMagic},
		{"version 1", change(4, 1), 4, abi.ErrVersion},
		{"link type", change(20, 113), 20, abi.ErrUnsupported},
		{"nanoseconds over a second", change(28, 0xff, 0xff, 0xff, 0xff), 28, abi.ErrBadValue},
		{"cut by snaplen", change(32, 1, 0), 32, abi.ErrBadLength},
		{"huge packet", change(32, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f), 32, abi.ErrTooLarge},
		{"half a record", committed[:30], 24, abi.ErrTruncated},
		{"half a packet", committed[:50], 40, abi.ErrTruncated},
		{"over the bound", make([]byte, FileBytesMax+1), FileBytesMax, abi.ErrTooLarge},
	} {
		_, err := ReadPcap(c.data)
		var format *FormatError
		if !errors.As(err, &format) || format.Offset != c.offset || format.Code != c.code {
			t.Errorf("%s: %v, want offset %d code %d", c.name, err, c.offset, c.code)
		}
	}
}

func TestBothByteOrdersAndClocks(t *testing.T) {
	little := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0,
		1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0x55}
	big := []byte{0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1,
		0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x55}
	for want, data := range map[uint64][]byte{1_000_002_000: little, 1_000_000_002: big} {
		packets, err := ReadPcap(data)
		if err != nil || len(packets) != 1 || packets[0].TimeNS != want || packets[0].Bytes[0] != 0x55 {
			t.Errorf("got %v, %v, want one packet at %d ns", packets, err, want)
		}
	}
}

func TestCompleteMendsWhatConvertRefuses(t *testing.T) {
	packets, err := ReadPcap(committed)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint8]bool{}
	for _, packet := range packets {
		header, err := ParseHeader(packet.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if seen[header.Protocol] {
			continue
		}
		seen[header.Protocol] = true
		frame := append([]byte(nil), packet.Bytes...)
		parts, _ := parseFrame(frame)
		parts.segment[parts.checksumAt] ^= 0x40
		if _, err := Convert([]Packet{{Bytes: frame}}); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("protocol %d: spoilt checksum gave %v", header.Protocol, err)
		}
		if err := Complete(frame); err != nil || string(frame) != string(packet.Bytes) {
			t.Errorf("protocol %d: completed frame differs (%v)", header.Protocol, err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("protocols seen: %v, want TCP, UDP and ICMP", seen)
	}
}

func TestScenarioFollowsItsSeed(t *testing.T) {
	first, err := DefaultScenario(7)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := DefaultScenario(7)
	other, _ := DefaultScenario(8)
	if !reflect.DeepEqual(first, again) {
		t.Error("seed 7 gave two scenarios")
	}
	if reflect.DeepEqual(first.Phases, other.Phases) {
		t.Error("seeds 7 and 8 gave the same phases")
	}
	if len(first.Phases) != PhaseCount || len(first.Listens) > abi.JobListensMax {
		t.Errorf("%d phases, %d listens", len(first.Phases), len(first.Listens))
	}
	late := uint32(1) << FamilyLate
	if first.Phases[PhaseScan].NeededMask&late != 0 || first.Phases[PhaseTurned].NeededMask&late == 0 {
		t.Error("the late service must be needed in the turned phase only")
	}
}

func FuzzPcap(f *testing.F) {
	data, err := os.ReadFile("testdata/services.pcap")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[:600])
	f.Add(data[:24])
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, err := ReadPcap(data)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) || format.Offset < 0 || format.Offset > len(data) || format.Code == abi.OK {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		again, err := ReadPcap(WritePcap(packets))
		if err != nil || len(again) != len(packets) {
			t.Fatalf("written again: %d packets, %v; want %d", len(again), err, len(packets))
		}
		for _, packet := range packets { // nothing here may panic
			if err := Complete(append([]byte(nil), packet.Bytes...)); err == nil {
				_, _ = Convert([]Packet{packet})
			}
		}
	})
}

func FuzzTrace(f *testing.F) {
	trace, err := Committed()
	if err != nil {
		f.Fatal(err)
	}
	short := Trace{Packets: append([]Labelled(nil), trace.Packets[:4]...), Flows: 4}
	for index := range short.Packets {
		short.Packets[index].Flow = uint32(index)
	}
	f.Add(short.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		trace, err := DecodeTrace(data)
		if err != nil {
			return
		}
		if got := trace.Encode(); len(got) != len(data) {
			t.Fatalf("encoded again: %d bytes, want %d", len(got), len(data))
		}
	})
}
