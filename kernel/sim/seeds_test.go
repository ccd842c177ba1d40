package sim

import (
	"flag"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

var (
	seedCount = flag.Int("seeds", 30, "random stories to play")
	firstSeed = flag.Uint64("seed", 1, "seed of the first story")
)

// TestRandomStories plays stories nobody wrote: phases of random traffic,
// consumers that come and go, requests of the host, resets, stuck CPUs and slow
// pipelines, each from one seed. Whatever happens, the invariants of Check hold.
//
//	go test ./kernel/sim -run RandomStories -seeds 1000
func TestRandomStories(t *testing.T) {
	count := *seedCount
	if testing.Short() {
		count = min(count, 10)
	}
	installed, rolledBack, refused := 0, 0, 0
	versions, lost, most := 0, uint64(0), uint64(0) // that dropped anything wanted
	for i := 0; i < count; i++ {
		seed := *firstSeed + uint64(i)
		k := play(seed)
		for _, broken := range k.Check() {
			t.Error(broken)
		}
		installed += k.count(abi.StageDeploy, abi.VerdictInstalled)
		rolledBack += k.count(abi.StageMonitor, abi.VerdictRolledBack)
		refused += k.count(abi.StageDryRun, abi.VerdictRefused)
		for _, l := range k.lost {
			versions++
			lost += l.Dropped
			most = max(most, l.Dropped)
		}
		if t.Failed() {
			t.Fatalf("seed %d\n%s", seed, k.transcript())
		}
		k.Close()
	}
	t.Logf("%d stories from seed %d: %d programs installed, %d rolled back, %d candidates refused by the dry run",
		count, *firstSeed, installed, rolledBack, refused)
	t.Logf("%d versions dropped wanted packets before they were taken back: %d on average, %d at most, bound %d",
		versions, lost/uint64(max(versions, 1)), most, LossBound)
	if count >= 20 && (installed == 0 || rolledBack == 0 || refused == 0) {
		t.Error("the stories exercise nothing")
	}
}

// play runs one story.
func play(seed uint64) *Kernel {
	k := New(seed, 1+int(seed%4))
	r := k.random
	k.PumpTime = uint64(1_000 + r.IntN(200_000)) // fast, or so slow that rings overflow
	k.Serve()
	for phase := 0; phase < 3+r.IntN(4); phase++ {
		mix := Office()
		for _, share := range []Share{
			{r.IntN(200), Scan}, {r.IntN(200), Datagrams(junkPort)}, {r.IntN(100), Datagrams(9999)},
			{r.IntN(100), Service(8080)}, {r.IntN(60), Flood(80)}, {r.IntN(60), Odd},
		} {
			if share.Weight > 0 && r.IntN(2) == 0 {
				mix = append(mix, share)
			}
		}
		k.Run(mix, 1_000+r.IntN(12_000))
		k.disturb(mix)
	}
	k.Settle(20)
	return k
}

// disturb does something that can happen at any time.
func (k *Kernel) disturb(mix Mix) {
	r := k.random
	flip := []Listen{{17, junkPort}, {6, 8080}, {17, 9999}, {6, 443}}[r.IntN(4)]
	switch r.IntN(8) {
	case 0, 1, 2:
		k.Listens[flip] = !k.Listens[flip]
	case 3:
		k.nextSend++
		k.Pipeline.Rollback(k.nextSend, uint32(abi.HookNetRX))
	case 4:
		k.Pipeline.Reset()
	case 5:
		k.Stuck = r.IntN(len(k.cpus))
		if len(k.cpus) > 1 {
			k.Run(mix, 2_000)
		}
		k.Stuck = -1
	case 6:
		k.nextSend++
		wire := make([]byte, 8*(1+r.IntN(40)))
		for i := range wire {
			wire[i] = byte(r.Uint32())
		}
		request := abi.InstallRequest{Hook: uint32(abi.HookNetRX), ProgramBytes: uint32(len(wire))}
		k.Pipeline.Install(k.nextSend, &request, wire)
	}
}

// The same seed tells the same story, record for record.
func TestStoriesRepeat(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		first := play(seed)
		first.Close()
		second := play(seed)
		second.Close()
		if first.transcript() != second.transcript() {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}

// A pump that never allocates: the kernel has no heap.
func TestPumpDoesNotAllocate(t *testing.T) {
	k := New(11, 4)
	defer k.Close()
	k.Listens[Listen{6, 80}] = true
	k.wakeAt = 1 << 62 // record only
	k.Run(junkTraffic(), 3_000)
	quiet := &mute{Kernel: k}
	swapBackend(t, quiet)
	now := k.now
	allocations := testing.AllocsPerRun(3_000, func() {
		now += 10_000
		k.Pipeline.Pump(now)
	})
	if allocations != 0 {
		t.Errorf("Pump allocates %v times", allocations)
	}
	if quiet.frames == 0 || k.cpus[0].current.version == 0 {
		t.Errorf("too little happened while we counted: %d frames", quiet.frames)
	}
	packet := make([]byte, 64)
	context := abi.NetRXContext{DataEnd: 64}
	if allocations := testing.AllocsPerRun(100, func() { k.Pipeline.Decide(0, 1, &context, packet) }); allocations != 0 {
		t.Errorf("Decide allocates %v times", allocations)
	}
}
