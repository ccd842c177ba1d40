package bench

import (
	"context"
	"errors"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// program is mov r0, 2; exit: these tests never run it.
var program = []byte{0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}

func guests(figures map[string]fleet.JobResult, fail map[string]error) Runner {
	return func(_ context.Context, target, name string, job []byte) (fleet.JobResult, error) {
		parsed, code := abi.ParseJob(job)
		if code != abi.OK || parsed.Header.Kind != abi.JobBench {
			return fleet.JobResult{}, errors.New("bad job")
		}
		result := figures[target]
		result.Report.Offered = uint64(parsed.Trace.PacketCount) * uint64(parsed.Header.Repeat)
		if named, ok := figures[name]; ok {
			result.Report.InsnTotal = named.Report.InsnTotal
		}
		return result, fail[name]
	}
}

func result(boot, total, empty uint64) fleet.JobResult {
	return fleet.JobResult{Hello: abi.Hello{BootInsnCPU0: boot}, Report: abi.Report{InsnTotal: total, InsnEmpty: empty}}
}

const operations = packetsChosen * passes

func execute(t *testing.T, run Runner) *Result {
	t.Helper()
	got, err := Execute(context.Background(), Options{Targets: []string{"ours", "linux"}, Baseline: "linux", Program: program, Seed: 3, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRows(t *testing.T) {
	got := execute(t, guests(map[string]fleet.JobResult{
		"ours": result(1000, 500*operations, 100*operations), "linux": result(100000, 300*operations, 200*operations)}, nil))
	want := []struct {
		bench, target string
		perOp, ratio  float64
		verdict       stats.BudgetVerdict
	}{
		{BootReady, "ours", 1000, 0.01, stats.Inside}, {BootReady, "linux", 100000, 1, stats.Inside},
		{NetRX, "ours", 400, 4, stats.Undecided}, {NetRX, "linux", 100, 1, stats.Inside},
	}
	if len(got.Rows) != len(want) || !got.Repeat.Equal {
		t.Fatalf("%+v", got)
	}
	for i, w := range want {
		r := got.Rows[i]
		if r.Bench != w.bench || r.Target != w.target || r.InsnPerOp != w.perOp || r.Ratio != w.ratio || r.Verdict != w.verdict {
			t.Errorf("row %d: %+v, want %+v", i, r, w)
		}
	}
}

func TestFiguresThatDifferDecideNothing(t *testing.T) {
	got := execute(t, guests(map[string]fleet.JobResult{
		"ours": result(1000, 500*operations, 100*operations), "linux": result(1000, 300*operations, 200*operations),
		"bench-ours-2": result(0, 500*operations+1, 0)}, nil))
	if got.Repeat.Equal || len(got.Repeat.Differing) != 1 || got.Rows[2].Verdict != stats.Undecided {
		t.Errorf("%+v, row %+v", got.Repeat, got.Rows[2])
	}
}

func TestAMissingTargetIsARowWithAProblem(t *testing.T) {
	got := execute(t, guests(map[string]fleet.JobResult{"ours": result(1000, 500*operations, 100*operations), "linux": result(1, 3, 4)},
		map[string]error{"bench-linux-1": errors.New("did not boot")}))
	if len(got.Rows) != 4 || got.Rows[1].Problem != "did not boot" || got.Rows[0].Verdict != stats.Undecided {
		t.Errorf("%+v", got.Rows)
	}
}

func TestSelect(t *testing.T) {
	for asked, want := range map[string]int{"": 2, "boot/ready": 1, "bpf": 1, "bpf/": 1} {
		if got, err := Select(asked); err != nil || len(got) != want {
			t.Errorf("%q: %v, %v", asked, got, err)
		}
	}
	if _, err := Select("overhead"); err == nil {
		t.Error("a benchmark that does not exist was selected")
	}
}

func TestTheSeedChoosesThePackets(t *testing.T) {
	job := func(seed uint64) string {
		blob, err := Job(program, seed)
		if err != nil {
			t.Fatal(err)
		}
		return string(blob)
	}
	if first, again := job(1), job(1); first != again || first == job(2) {
		t.Error("the job does not follow the seed")
	}
}
