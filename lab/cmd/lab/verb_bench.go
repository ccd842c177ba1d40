package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/kingly-os/go-kernel/bench"
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// benchVerb measures our kernel beside Linux.
type benchVerb struct {
	Name    string   `arg:"" optional:"" help:"A benchmark or a group of them; all when left out."`
	Targets []string `default:"go-kernel,linux-6.12" help:"Targets to measure."`
}

func (benchVerb) Help() string {
	return `Counts instructions per operation on each target: the same bytecode and packets,
each figure in two fresh guests. Exit 1 when a row is outside its budget, 3 when
figures did not repeat.

Example:

  lab bench
  lab bench bpf/net-rx --json`
}

func (v benchVerb) Run(e *env) error {
	names, err := bench.Select(v.Name)
	if err != nil {
		return usage("%w", err)
	}
	targets := make([]string, len(v.Targets))
	for i, name := range v.Targets {
		if targets[i], err = fleet.CanonicalTarget(name); err != nil {
			return usage("%w", err)
		}
	}
	pool, err := qemu.Open(e.State, measuredAtOnce)
	if err != nil {
		return infra("%w", err)
	}
	defer pool.Close()
	for _, target := range targets {
		if missing := pool.Artefacts().Missing(target); len(missing) > 0 {
			return infra("%s is missing: %s", strings.Join(missing, ", "), pool.Artefacts().BuildCommand(target))
		}
	}
	program, err := wireProgram(bench.NetRXSource)
	if err != nil {
		return infra("the program of bpf/net-rx: %w", err)
	}
	run := func(ctx context.Context, target, name string, job []byte) (fleet.JobResult, error) {
		return fleet.RunJob(ctx, pool, fleet.Spec{Name: name, Target: target, CPUs: 1, Job: job})
	}
	result, err := bench.Execute(e.ctx, bench.Options{Names: names, Targets: targets, Baseline: fleet.TargetLinux612,
		Program: program, Seed: e.Seed, Run: run, Said: e.logf})
	if err != nil {
		return infra("%w", err)
	}
	result.Fingerprint = fingerprint(pool.Artefacts())
	printRows(e, result)
	if err := e.document(result); err != nil {
		return err
	}
	return benchVerdict(result)
}

func printRows(e *env, result *bench.Result) {
	e.printf("%-12s %-11s %16s %16s %8s  %s\n", "BENCH", "TARGET", "INSN PER OP", "BASELINE", "RATIO", "BUDGET "+stats.OverheadBudget.String())
	for _, r := range result.Rows {
		if r.Problem != "" {
			line, _, _ := strings.Cut(r.Problem, "\n")
			e.printf("%-12s %-11s %s\n", r.Bench, r.Target, line)
			continue
		}
		e.printf("%-12s %-11s %16.1f %16.1f %8.4f  %s\n", r.Bench, r.Target, r.InsnPerOp, r.Baseline, r.Ratio, r.Verdict)
	}
	if result.Repeat.Equal {
		e.printf("each figure was measured twice and came out the same to the instruction\n")
	}
	for _, difference := range result.Repeat.Differing {
		e.printf("DID NOT REPEAT: %s\n", difference)
	}
}

// benchVerdict turns rows into the exit code.
func benchVerdict(result *bench.Result) error {
	if len(result.Rows) == 0 {
		return infra("nothing was measured")
	}
	for _, r := range result.Rows {
		if r.Problem != "" {
			return infra("%s on %s: %s", r.Bench, r.Target, r.Problem)
		}
	}
	if !result.Repeat.Equal {
		return inconclusive("figures did not repeat: %s", strings.Join(result.Repeat.Differing, "; "))
	}
	for _, r := range result.Rows {
		if r.Verdict == stats.Outside {
			return fail("%s on %s is outside its budget: %.2f times the baseline, at most %s", r.Bench, r.Target, r.Ratio, r.Budget)
		}
	}
	return nil
}

// wireProgram assembles text to the bytes that both kernels load.
func wireProgram(text string) ([]byte, error) {
	slots := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	count, place, code := bpf.Assemble([]byte(text), slots)
	if code != abi.OK {
		return nil, fmt.Errorf("line %d column %d: %v", place.Line, place.Column, code)
	}
	wire := make([]byte, count*bpf.SlotBytes)
	if _, code := bpf.Encode(slots[:count], wire); code != abi.OK {
		return nil, fmt.Errorf("encode: %v", code)
	}
	return wire, nil
}
