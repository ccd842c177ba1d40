package verify_test

import (
	"context"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/fuzz"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// mutationBudget is how many programs the fuzzer may take for one bug: a few
// CPU-seconds at the rate of this engine.
const mutationBudget = 400000

// TestMutationScore plants bugs into the verifier, one at a time, and demands
// that the fuzz oracles find each within the budget. A fuzzer that is silent
// on a sound verifier and silent on these would prove nothing.
func TestMutationScore(t *testing.T) {
	for index, mutant := range verify.Mutants {
		mend := mutant.Plant()
		result, err := fuzz.Run(context.Background(), "verify", fuzz.Options{Seed: uint64(index + 1), ProgramsMax: mutationBudget, For: 2 * time.Minute})
		mend()
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Findings) == 0 {
			t.Errorf("%s: not found in %d programs (seed %d)", mutant.Name, result.Programs, index+1)
			continue
		}
		t.Logf("%-70s found by %-18s after %6d programs, %v CPU", mutant.Name, result.Findings[0].Oracle, result.Programs, result.CPU.Round(time.Millisecond))
	}
}
