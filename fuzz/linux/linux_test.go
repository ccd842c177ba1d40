//go:build linux

package linux

import (
	"flag"
	"os"
	"sort"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

var (
	programs = flag.Uint64("programs", 2000, "programs to compare")
	seed     = flag.Uint64("seed", 1, "seed of the programs")
	samples  = flag.Bool("samples", false, "print one program for each reason of a debt")
)

// oracle is Linux, or a loud skip where it cannot be asked. In the guest it
// must answer (ORACLE_REQUIRED is set there).
func oracle(t *testing.T) *Oracle {
	t.Helper()
	o, err := NewOracle()
	if err != nil && os.Getenv("ORACLE_REQUIRED") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("SKIPPED LOUDLY: Linux is not asked: %v", err)
	}
	return o
}

// TestLinuxAgrees compares generated programs; see the package comment.
func TestLinuxAgrees(t *testing.T) {
	o := oracle(t)
	result := o.Compare(Options{Seed: *seed, Programs: *programs, Progress: func(done uint64) { t.Logf("%d programs", done) }})
	for _, finding := range result.Findings {
		t.Errorf("seed %d: %s", *seed, finding)
	}
	for _, difference := range result.Differences {
		t.Logf("seed %d: %s", *seed, difference)
	}
	if len(result.Differences) > result.DifferencesMax() {
		t.Errorf("seed %d: %d differences, %d are explained", *seed, len(result.Differences), result.DifferencesMax())
	}
	report(t, result)
	if result.Ours*10 < result.Programs || result.Runs < result.Ours {
		t.Errorf("%d of %d accepted, %d runs: the comparison says nothing", result.Ours, result.Programs, result.Runs)
	}
}

// report prints the figures, the debts by frequency.
func report(t *testing.T, result Result) {
	t.Helper()
	t.Logf("seed %d: %d programs; accepted: ours strict %d, ours lenient %d, Linux %d; ours alone, by finer operators %d, otherwise %d; no verdict %d; runs compared %d; findings %d",
		*seed, result.Programs, result.Ours, result.Lenient, result.Theirs, result.Finer, len(result.Differences), result.Abstained, result.Runs, len(result.Findings))
	var codes []abi.Code
	for code := range result.Debt {
		codes = append(codes, code)
	}
	sort.Slice(codes, func(i, j int) bool { return result.Debt[codes[i]] > result.Debt[codes[j]] })
	for _, code := range codes {
		t.Logf("Linux accepts, we refuse as %v: %d", code, result.Debt[code])
		if *samples {
			t.Logf("for example\n%s", result.DebtSample[code])
		}
	}
}
