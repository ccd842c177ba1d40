package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

func boot(t *testing.T, seed uint64, cpus int) *Kernel {
	k := New(seed, cpus)
	t.Cleanup(k.Close)
	k.Serve()
	t.Cleanup(func() {
		for _, broken := range k.Check() {
			t.Error(broken)
		}
		if t.Failed() {
			t.Log(k.transcript())
		}
	})
	return k
}

// transcript tells the story in one line per record.
func (k *Kernel) transcript() string {
	var out strings.Builder
	for _, r := range k.Records {
		fmt.Fprintf(&out, "%9d us %-9v %-11v %-16v v%d %x %v\n", r.TimeNS/1000, r.Stage, r.Verdict, r.Code, r.SlotVersion, r.Candidate[:3], r.Values)
	}
	return out.String()
}

func (k *Kernel) count(stage abi.Stage, verdict abi.Verdict) (n int) {
	for _, r := range k.Records {
		if r.Stage == stage && r.Verdict == verdict {
			n++
		}
	}
	return n
}

func TestQuietTrafficInstallsNothing(t *testing.T) {
	k := boot(t, 1, 4)
	k.Run(Office(), 60_000)
	if n := k.count(abi.StageDeploy, abi.VerdictCanary); n != 0 {
		t.Errorf("%d programs for traffic without junk", n)
	}
	if k.count(abi.StageTelemetry, abi.VerdictObserved) == 0 {
		t.Error("no window was looked at")
	}
}

func TestScanIsFilteredAndTheProgramKept(t *testing.T) {
	for _, cpus := range []int{1, 4} {
		k := boot(t, 2, cpus)
		k.Run(Office(), 5_000)
		k.Run(Office().With(150, Scan), 60_000)
		for _, want := range []struct {
			stage   abi.Stage
			verdict abi.Verdict
		}{
			{abi.StageDeploy, abi.VerdictCanary}, {abi.StageDeploy, abi.VerdictInstalled}, {abi.StageMonitor, abi.VerdictKept},
		} {
			if k.count(want.stage, want.verdict) == 0 {
				t.Errorf("%d CPUs: no %v %v", cpus, want.stage, want.verdict)
			}
		}
		if t.Failed() {
			t.Log(k.transcript())
		}
		k.Close()
	}
}

// junkPort is where nobody listens at first; later somebody does.
const junkPort = 5353

func junkTraffic() Mix { return Office().With(120, Datagrams(junkPort)) }

// find returns the first record after from that matches, or -1.
func (k *Kernel) find(from int, stage abi.Stage, verdict abi.Verdict) int {
	for i := from; i < len(k.Records); i++ {
		if k.Records[i].Stage == stage && k.Records[i].Verdict == verdict {
			return i
		}
	}
	return -1
}

func TestTrafficTurnsAndTheProgramIsTakenBack(t *testing.T) {
	for _, cpus := range []int{1, 4} {
		k := boot(t, 3, cpus)
		k.Run(junkTraffic(), 40_000)
		installed := k.find(0, abi.StageDeploy, abi.VerdictInstalled)
		if installed < 0 {
			t.Fatalf("%d CPUs: nothing was installed\n%s", cpus, k.transcript())
		}
		before := len(k.Records)
		k.Listens[Listen{17, junkPort}] = true
		k.Run(junkTraffic(), 60_000)

		back := k.find(before, abi.StageMonitor, abi.VerdictRolledBack)
		if back < 0 || k.Records[back].Code != abi.ErrLossBudget || k.Records[back].Values[3] == 0 {
			t.Fatalf("%d CPUs: no rollback for loss\n%s", cpus, k.transcript())
		}
		version := k.Records[back].SlotVersion
		if lost := k.Loss(version).Dropped; lost > LossBound {
			t.Errorf("%d CPUs: %d wanted packets lost", cpus, lost)
		}
		if next := k.Records[back+1]; next.Stage != abi.StageDeploy || next.Verdict != abi.VerdictRolledBack {
			t.Errorf("%d CPUs: after the monitor's word came %v %v", cpus, next.Stage, next.Verdict)
		}
		// What runs in the end drops nothing that is wanted now.
		k.Settle(50)
		var stats abi.NetRXStats
		k.HookStats(abi.HookNetRX, 0, &stats)
		if k.Loss(k.cpus[0].current.version) != (Loss{}) {
			t.Errorf("%d CPUs: version %d still loses", cpus, k.cpus[0].current.version)
		}
		k.Close()
	}
}

// Compiled, a filter costs some 2 % of the default path, which no budget notices;
// where that path is shorter, it does.
func TestUselessProgramIsTakenBackForItsCost(t *testing.T) {
	usual := costs
	defer func() { costs = usual }()
	costs.delivered, costs.perByte = 400, 0
	k := boot(t, 4, 2)
	k.Run(Office().With(150, Scan), 40_000)
	if k.find(0, abi.StageMonitor, abi.VerdictKept) < 0 {
		t.Fatal("nothing was kept")
	}
	k.Run(Office(), 30_000) // the scan is over: every packet pays for a filter
	back := k.find(0, abi.StageMonitor, abi.VerdictRolledBack)
	if back < 0 || k.Records[back].Code != abi.ErrLatencyBudget {
		t.Fatal("the program stays though it only costs")
	}
	k.Run(Office(), 30_000)
	for i := range k.cpus {
		if k.cpus[i].current.index != 0 {
			t.Errorf("cpu %d runs version %d on clean traffic", i, k.cpus[i].current.version)
		}
	}
}

// install sends a program as the host does and returns the answer.
func (k *Kernel) install(t *testing.T, text string, mix Mix) abi.InstallReply {
	t.Helper()
	instructions := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	count, place, code := bpf.Assemble([]byte(text), instructions)
	if code != abi.OK {
		t.Fatalf("%d:%d: %v", place.Line, place.Column, code)
	}
	return k.installInstructions(t, instructions[:count], mix)
}

func (k *Kernel) installInstructions(t *testing.T, instructions []bpf.Instruction, mix Mix) abi.InstallReply {
	t.Helper()
	wire := make([]byte, len(instructions)*bpf.SlotBytes)
	for i, instruction := range instructions {
		bpf.EncodeSlot(instruction, wire[i*bpf.SlotBytes:])
	}
	request := abi.InstallRequest{Hook: uint32(abi.HookNetRX), ProgramBytes: uint32(len(wire)), Expected: bpf.Digest(instructions)}
	k.nextSend++
	if code := k.Pipeline.Install(k.nextSend, &request, wire); code != abi.OK {
		t.Fatalf("not queued: %v", code)
	}
	for tries := 0; tries < 400; tries++ {
		k.Run(mix, 200)
		if reply, there := k.Replies[k.nextSend]; there {
			return reply
		}
	}
	t.Fatalf("seed %d: no reply", k.Seed)
	return abi.InstallReply{}
}

const bounds = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 42\nif r4 > r3 goto pass\n"

func TestPlantedLosersAreRefusedWithTheReason(t *testing.T) {
	k := boot(t, 5, 4)
	k.Pipeline.SetSilent(true)
	for _, c := range []struct {
		name, text string
		code       abi.Code
		stage      abi.Stage
	}{
		{"drop all", "r0 = 1\nexit", abi.ErrLosesNeeded, abi.StageDryRun},
		{"drop all but the commonest port", bounds + "r5 = *(u16 *)(r2 + 36)\nif r5 == 20480 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit", abi.ErrLosesNeeded, abi.StageDryRun},
		{"drop by first byte", bounds + "r5 = *(u8 *)(r2 + 0)\nif r5 != 2 goto pass\nr0 = 1\nexit\npass: r0 = 2\nexit", abi.ErrLosesNeeded, abi.StageDryRun},
		{"pass all", "r0 = 2\nexit", abi.ErrWorse, abi.StageDryRun},
		{"transmit", "r0 = 3\nexit", abi.ErrFault, abi.StageDryRun},
		{"steer", "r0 = 4\nexit", abi.ErrUnsupported, abi.StageDryRun},
		{"loop", "r0 = 1\nx: r0 += 1\nif r0 < 5 goto x\nexit", abi.ErrBackEdge, abi.StageAnalyze},
		{"no exit", "r0 = 1", abi.ErrFallsThrough, abi.StageAnalyze},
		{"reads past the end", "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 60)\nr0 = 2\nexit", abi.ErrPacketBounds, abi.StageVerify},
		{"reads beyond the record", "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 120\nif r4 > r3 goto pass\nr5 = *(u8 *)(r2 + 119)\npass: r0 = 2\nexit", abi.ErrSnapTruncated, abi.StageDryRun},
	} {
		reply := k.install(t, c.text, junkTraffic())
		if reply.Code != c.code || reply.Stage != uint32(c.stage) {
			t.Errorf("%s: %v by stage %v, want %v by %v", c.name, reply.Code, abi.Stage(reply.Stage), c.code, c.stage)
		}
		if c.code == abi.ErrLosesNeeded && reply.Values[2] == 0 {
			t.Errorf("%s: the number of lost packets is missing", c.name)
		}
	}
	if k.count(abi.StageDeploy, abi.VerdictCanary) != 0 {
		t.Error("a loser was installed")
	}
}

// dropJunkPort drops UDP datagrams to junkPort (59668 = 5353 swapped).
const dropJunkPort = bounds + `r5 = *(u16 *)(r2 + 36)
	if r5 != 59668 goto pass
	r5 = *(u8 *)(r2 + 23)
	if r5 != 17 goto pass
	r5 = *(u16 *)(r2 + 12)
	if r5 != 8 goto pass
	r5 = *(u8 *)(r2 + 14)
	if r5 != 69 goto pass
	r5 = *(u16 *)(r2 + 20)
	r5 &= 65343
	if r5 != 0 goto pass
	r0 = 1
	exit
pass:	r0 = 2
	exit`

func TestHostProgramTravelsTheSameWayAndComesBackOnRequest(t *testing.T) {
	k := boot(t, 6, 4)
	k.Pipeline.SetSilent(true)
	reply := k.install(t, dropJunkPort, junkTraffic())
	if reply.Code != abi.OK || reply.SlotVersion == 0 {
		t.Fatalf("refused: %v by %v", reply.Code, abi.Stage(reply.Stage))
	}
	k.Run(junkTraffic(), 30_000)
	if k.find(0, abi.StageMonitor, abi.VerdictKept) < 0 {
		t.Fatal("not kept")
	}
	if reply := k.install(t, dropJunkPort, junkTraffic()); reply.Code != abi.ErrNoGain && reply.Code != abi.ErrWorse {
		t.Errorf("the same program again: %v", reply.Code)
	}
	k.nextSend++
	if code := k.Pipeline.Rollback(k.nextSend, uint32(abi.HookNetRX)); code != abi.OK {
		t.Fatal(code)
	}
	k.Run(junkTraffic(), 2_000)
	if reply, there := k.Replies[k.nextSend]; !there || reply.Code != abi.OK || reply.SlotVersion != 0 {
		t.Errorf("rollback: %v %+v", there, reply)
	}
	for i := range k.cpus {
		if k.cpus[i].current.index != 0 {
			t.Errorf("cpu %d still runs version %d", i, k.cpus[i].current.version)
		}
	}
	k.nextSend++
	k.Pipeline.Rollback(k.nextSend, uint32(abi.HookNetRX))
	k.Run(junkTraffic(), 2_000)
	if reply := k.Replies[k.nextSend]; reply.Code != abi.ErrNotFound {
		t.Errorf("rollback of the default: %v", reply.Code)
	}
}

func TestBadRequestsChangeNothing(t *testing.T) {
	k := boot(t, 7, 1)
	k.Pipeline.SetSilent(true)
	good := abi.InstallRequest{Hook: uint32(abi.HookNetRX), ProgramBytes: 8}
	wire := make([]byte, 8)
	for name, c := range map[string]struct {
		request abi.InstallRequest
		program []byte
		code    abi.Code
	}{
		"hook":   {abi.InstallRequest{Hook: 9, ProgramBytes: 8}, wire, abi.ErrUnknownHook},
		"length": {good, wire[:7], abi.ErrBadLength},
		"odd":    {abi.InstallRequest{Hook: 1, ProgramBytes: 7}, wire[:7], abi.ErrBadLength},
		"empty":  {abi.InstallRequest{Hook: 1}, nil, abi.ErrEmpty},
		"long":   {abi.InstallRequest{Hook: 1, ProgramBytes: 8 * 513}, make([]byte, 8*513), abi.ErrTooLong},
	} {
		if code := k.Pipeline.Install(99, &c.request, c.program); code != c.code {
			t.Errorf("%s: %v, want %v", name, code, c.code)
		}
	}
	if code := k.Pipeline.Install(100, &good, wire); code != abi.OK {
		t.Fatal(code)
	}
	if code := k.Pipeline.Install(101, &good, wire); code != abi.ErrBusy {
		t.Errorf("second request: %v", code)
	}
	k.Run(Office(), 20_000)
	reply, there := k.Replies[100]
	if !there || reply.Code == abi.OK {
		t.Errorf("eight zero bytes: %v %+v", there, reply)
	}
	if len(k.Replies) != 1 || k.count(abi.StageDeploy, abi.VerdictCanary) != 0 {
		t.Errorf("replies %v", k.Replies)
	}
}

func TestWrongDigestIsRefused(t *testing.T) {
	k := boot(t, 8, 1)
	k.Pipeline.SetSilent(true)
	wire := []byte{0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}
	request := abi.InstallRequest{Hook: 1, ProgramBytes: 16}
	k.Pipeline.Install(1, &request, wire)
	k.Run(Office(), 20_000)
	if reply := k.Replies[1]; reply.Code != abi.ErrDigestMismatch {
		t.Errorf("%+v", reply)
	}
}

// A CPU that never leaves a slot keeps its storage from being written again.
func TestStuckCPUKeepsItsVersion(t *testing.T) {
	k := boot(t, 9, 3)
	k.Pipeline.SetSilent(true)
	if reply := k.install(t, dropJunkPort, junkTraffic()); reply.Code != abi.OK {
		t.Fatal(reply.Code)
	}
	k.Run(junkTraffic(), 10_000)
	index := k.cpus[1].current.index
	for k.cpus[1].inside == nil || k.cpus[1].inside.slot.index != index {
		k.Run(junkTraffic(), 1)
	}
	k.Stuck = 1
	digest := k.Pipeline.ProgramDigest(index)
	refused := false
	for round := uint16(0); round < 6 && !refused; round++ {
		k.nextSend++
		k.Pipeline.Rollback(k.nextSend, uint32(abi.HookNetRX))
		k.Run(junkTraffic(), 3_000)
		// A program of the same effect with another digest each time.
		text := fmt.Sprintf("r9 = %d\n%s", round, dropJunkPort)
		reply := k.install(t, text, junkTraffic())
		refused = reply.Code == abi.ErrNotQuiescent
		if now := k.Pipeline.ProgramDigest(index); now != digest {
			t.Fatalf("round %d: the stuck CPU's program was replaced", round)
		}
		k.Run(junkTraffic(), 5_000)
	}
	k.Stuck = -1
}

func TestResetInMidFlight(t *testing.T) {
	for seed := uint64(0); seed < 20; seed++ {
		k := boot(t, 100+seed, 4)
		k.Run(junkTraffic(), 2_000+k.random.IntN(20_000))
		version := k.cpus[0].current
		k.Pipeline.Reset()
		if k.count(abi.StageFault, abi.VerdictReset) != 1 {
			t.Errorf("seed %d: the reset left no record", k.Seed)
		}
		for i := range k.cpus {
			if k.cpus[i].current.index != k.cpus[0].current.index || k.cpus[i].current.canary {
				t.Errorf("seed %d: cpu %d is left with a canary", k.Seed, i)
			}
		}
		if !version.canary && k.cpus[0].current.index != version.index {
			t.Errorf("seed %d: the reset lost version %d", k.Seed, version.version)
		}
		k.Run(junkTraffic(), 40_000)
		if k.find(0, abi.StageDeploy, abi.VerdictInstalled) < 0 {
			t.Errorf("seed %d: nothing was installed\n%s", k.Seed, k.transcript())
		}
		k.Close()
	}
}

// A canary whose CPU falls silent does not stay for ever.
func TestCanaryWithoutTrafficGoes(t *testing.T) {
	k := boot(t, 10, 4)
	for i := 0; k.find(0, abi.StageDeploy, abi.VerdictCanary) < 0; i++ {
		if i > 2_000 {
			t.Fatal("no canary")
		}
		k.Run(junkTraffic(), 50)
	}
	k.PumpTime = 1_000_000
	k.Settle(1_500)
	back := k.find(0, abi.StageMonitor, abi.VerdictRolledBack)
	if back < 0 || k.Records[back].Code != abi.ErrNoGain {
		t.Error("it is still there")
	}
}
