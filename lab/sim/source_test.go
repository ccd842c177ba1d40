package sim

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
)

func parse(t *testing.T, w experiment.Workload) abi.Job {
	t.Helper()
	blob, err := experiment.BuildJob(w, experiment.Arm{Role: experiment.RoleDefault}, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	job, code := abi.ParseJob(blob)
	if code != abi.OK {
		t.Fatal(code)
	}
	return job
}

func TestSourceRepeatsWithTheSeedAndNotWithout(t *testing.T) {
	draw := func(seed uint64) (families []uint8) {
		source := NewSource(parse(t, ExampleWorkload(seed, 500)))
		for packet, ok := source.Next(); ok; packet, ok = source.Next() {
			families = append(families, packet.Family)
		}
		return families
	}
	first, again, other := draw(1), draw(1), draw(2)
	if len(first) != 500 || string(first) != string(again) {
		t.Errorf("seed 1 gave %d and %d packets, or others", len(first), len(again))
	}
	if string(first) == string(other) {
		t.Error("seed 2 draws what seed 1 drew")
	}
}

func TestFlowsKeepTheirOrderAndWeightsTheirShare(t *testing.T) {
	job := parse(t, ExampleWorkload(3, 8300))
	source := NewSource(job)
	count := map[uint8]int{}
	last := map[string]int{} // HTTP packets alternate SYN and data within a flow
	for packet, ok := source.Next(); ok; packet, ok = source.Next() {
		count[packet.Family]++
		if packet.Family != abi.FamilyHTTP {
			continue
		}
		key := string(packet.Bytes[26:38])
		if previous := last[key]; previous == len(packet.Bytes) {
			t.Fatalf("seed 3: flow %x offered the same packet twice in a row", key)
		}
		last[key] = len(packet.Bytes)
	}
	// weights 10 : 40 of 83; a loose bound, the draw is random
	if count[abi.FamilyDNS] < 800 || count[abi.FamilyDNS] > 1200 || count[abi.FamilyScan] < 3600 || count[abi.FamilyScan] > 4400 {
		t.Errorf("seed 3: shares are %v", count)
	}
}

func TestWantedIsTheConsumerNotTheLabel(t *testing.T) {
	job := parse(t, ExampleWorkload(5, 4000))
	source := NewSource(job)
	var floodWanted, neededUnwanted int
	for packet, ok := source.Next(); ok; packet, ok = source.Next() {
		wanted := Wanted(job, packet)
		if packet.Family == abi.FamilyAbuse && wanted {
			floodWanted++
		}
		if packet.Needed && !wanted {
			neededUnwanted++
		}
	}
	if floodWanted == 0 || neededUnwanted != 0 {
		t.Errorf("%d flood packets wanted, %d needed ones unwanted", floodWanted, neededUnwanted)
	}
}
