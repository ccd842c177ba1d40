package fuzz

import (
	"context"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/kernel/emulate"
)

// FuzzVerify lets the fuzzer's bytes choose the program; see Generator.
func FuzzVerify(f *testing.F) {
	for seed := byte(0); seed < 16; seed++ {
		f.Add([]byte{seed, seed * 31, seed * 7})
	}
	session := NewSession()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var source Source
		source.Reset(bytes)
		if outcome := session.One(&source); outcome.Finding != nil {
			t.Fatalf("%s: %s\n%s", outcome.Finding.Oracle, outcome.Finding.Detail, outcome.Finding.Repro)
		}
	})
}

// TestTargets runs each target from a seed and holds the figures it is built for.
func TestTargets(t *testing.T) {
	for _, name := range Targets() {
		programs := uint64(20000)
		if name == "elf" {
			programs = 4000
		}
		result, err := Run(context.Background(), name, Options{Seed: 1, ProgramsMax: programs, For: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if result.Problem != "" && !emulate.Available() {
			t.Logf("SKIPPED %s: %s", name, result.Problem)
			continue
		}
		if result.Problem != "" {
			t.Errorf("%s: %s", name, result.Problem)
		}
		for _, finding := range result.Findings {
			t.Errorf("%s, seed 1: %s: %s\n%s", name, finding.Oracle, finding.Detail, finding.Repro)
		}
		t.Logf("%s: %d programs, %d executions in %v CPU, accepted %.1f %%, median %d, both ways %.1f %%, memory %.1f %%, abstained %d, refused %v",
			name, result.Programs, result.Execs, result.CPU, 100*result.AcceptedShare, result.MedianInsns, 100*result.BothWaysShare, 100*result.MemoryShare, result.Abstained, result.Refusals)
		if result.AcceptedShare < 0.1 || result.AcceptedShare > 0.9 {
			t.Errorf("%s: %.1f %% accepted: the generator says nothing", name, 100*result.AcceptedShare)
		}
	}
}
