package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/kingly-os/go-kernel/fuzz"
)

// fuzzVerb runs a fuzz target in this process, from a seed.
type fuzzVerb struct {
	Target   string        `arg:"" help:"verify, jit, decode, assemble or elf."`
	For      time.Duration `help:"How long." default:"10s"`
	Programs uint64        `help:"Stop after this many programs; 0 = only --for counts." default:"0"`
	Findings int           `help:"Stop after this many findings." default:"10"`
}

func (fuzzVerb) Help() string {
	return "One execution is one program on one input. The seed is the global --seed.\n\nExample:\n\n  lab fuzz verify --for 30s --seed 7\n  lab fuzz verify --programs 100000 --for 10m --json"
}

// fuzzFinding is one violation in the document.
type fuzzFinding struct {
	ID     string `json:"id"`
	Oracle string `json:"oracle"`
	Detail string `json:"detail"`
	Repro  string `json:"repro"`
}

func (v *fuzzVerb) Run(e *env) error {
	if !knownFuzzTarget(v.Target) {
		return usage("no fuzz target %q; there are: %s", v.Target, strings.Join(fuzz.Targets(), ", "))
	}
	if v.For <= 0 && v.Programs == 0 {
		return usage("--for and --programs are both without a bound")
	}
	e.logf("fuzzing %s for %v with seed %d", v.Target, v.For, e.Seed)
	result, err := fuzz.Run(e.ctx, v.Target, fuzz.Options{Seed: e.Seed, For: v.For, ProgramsMax: v.Programs, FindingsMax: v.Findings})
	if err != nil {
		return infra("%w", err)
	}
	if result.Problem != "" {
		return infra("%s", result.Problem)
	}
	if result.Execs == 0 {
		return infra("no execution in %v", v.For)
	}
	perSecond := float64(result.Execs) / max(result.CPU.Seconds(), 1e-9)
	findings := []fuzzFinding{}
	for index, f := range result.Findings {
		findings = append(findings, fuzzFinding{fmt.Sprintf("%s-%d-%d", v.Target, e.Seed, index), f.Oracle, f.Detail, f.Repro})
		e.printf("FINDING %s: %s\n%s\n", f.Oracle, f.Detail, f.Repro)
	}
	e.printf("%s, seed %d: %d executions of %d programs in %.1f CPU-seconds (%.0f per CPU-second), %.1f %% accepted, median %d instructions\n",
		v.Target, e.Seed, result.Execs, result.Programs, result.CPU.Seconds(), perSecond, 100*result.AcceptedShare, result.MedianInsns)
	e.printf("oracles: %s; findings: %d\n", strings.Join(result.Oracles, ", "), len(findings))
	if err := e.document(map[string]any{
		"target": v.Target, "seed": e.Seed, "oracles": result.Oracles, "execs": result.Execs, "programs": result.Programs,
		"cpu_s": result.CPU.Seconds(), "execs_per_cpu_s": perSecond, "accepted_share": result.AcceptedShare,
		"median_insns": result.MedianInsns, "both_ways_share": result.BothWaysShare, "memory_share": result.MemoryShare,
		"abstained": result.Abstained, "refusals": result.Refusals, "findings": findings,
	}); err != nil {
		return err
	}
	if len(findings) > 0 {
		return exitWith(exitFail)
	}
	return nil
}

func knownFuzzTarget(name string) bool {
	for _, known := range fuzz.Targets() {
		if known == name {
			return true
		}
	}
	return false
}
