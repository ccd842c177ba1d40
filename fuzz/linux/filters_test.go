//go:build linux

package linux

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/fuzz"
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/elf"
)

// TestFilters compiles the C filters of testdata/*.c for each version of the
// instruction set and wants the verdict that Linux gives: accepted, by both,
// under our strict rules. What they return on drawn packets must be equal too.
// Without Linux to ask, our own verdict is still held. keep() in a filter stops
// the compiler from merging computations that neither verifier sees through.
func TestFilters(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("SKIPPED LOUDLY: clang-19 is missing, no filter was compiled")
	}
	sources, err := filepath.Glob("testdata/*.c")
	if err != nil || len(sources) < 20 {
		t.Fatalf("%d filters, %v", len(sources), err)
	}
	o, err := NewOracle()
	if err != nil {
		t.Logf("SKIPPED LOUDLY: Linux is not asked about the filters: %v", err)
	}
	result := Result{Debt: map[abi.Code]uint64{}, DebtSample: map[abi.Code]string{}}
	for _, source := range sources {
		for _, version := range []string{"v1", "v2", "v3", "v4"} {
			judgeFilter(t, o, source, version, &result)
		}
	}
	for _, finding := range result.Findings {
		t.Error(finding)
	}
	if o != nil {
		report(t, result)
	}
}

func judgeFilter(t *testing.T, o *Oracle, source, version string, result *Result) {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(source), ".c") + " " + version
	object := filepath.Join(t.TempDir(), "filter.o")
	command := exec.Command("clang-19", "-O2", "-Wall", "-Werror", "-Wno-parentheses", "-target", "bpf", "-mcpu="+version, "-fno-jump-tables",
		"-DXDP_TX=3", `-Dkeep(x)=__asm__ volatile("" : "+r"(x))`, "-I", "../../kernel/elf", "-c", source, "-o", object)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s: clang: %v\n%s", name, err, out)
		return
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := elf.Read(data)
	if err != nil || len(programs) != 1 {
		t.Errorf("%s: %d programs, %v", name, len(programs), err)
		return
	}
	judge := o
	if judge == nil {
		judge = withoutLinux()
		if _, fault := judge.ours(programs[0].Instructions, judge.strict); fault != abi.OK {
			t.Errorf("%s: %v", name, fault)
		}
		return
	}
	var random fuzz.Source
	random.ResetSeed(*seed)
	result.Programs++
	code, theirs := judge.Judge(programs[0].Instructions, programs[0].Written, &random, result)
	if code != abi.OK || !theirs {
		t.Errorf("%s: ours %v, Linux accepts: %v\n%s", name, code, theirs, whyRefused(programs[0].Written))
	}
}
