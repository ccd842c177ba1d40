// Command check runs everything that tells whether this tree is good, prints a
// summary of every step and ends with one plain line
//
//	N passed, N failed, N skipped
//
// Exit status 0 means that nothing failed and something ran. `make test` calls
// it; `check -fuzz-only` is `make fuzz-short`.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	fuzzSeconds := flag.Int("fuzz-seconds", 60, "CPU seconds of fuzzing, over all targets")
	fuzzOnly := flag.Bool("fuzz-only", false, "fuzz and nothing else")
	only := flag.String("only", "", "comma-separated names of steps to run")
	flag.Parse()
	steps := allSteps(*fuzzSeconds)
	switch {
	case *fuzzOnly:
		steps = pick(steps, "fuzz")
	case *only != "":
		steps = pick(steps, strings.Split(*only, ",")...)
	}
	if len(steps) == 0 {
		fmt.Fprintln(os.Stderr, "check: no such step:", *only)
		os.Exit(2)
	}
	os.Exit(runAll(steps))
}

// step is one part of the run.
type step struct {
	name, what string
	run        func() result
	needed     bool // the rest is pointless if it fails
}

// result counts what a step ran.
type result struct {
	passed, failed, skipped int
	notes                   []string // names of what failed or was skipped, with reasons
}

func (r *result) add(other result) {
	r.passed += other.passed
	r.failed += other.failed
	r.skipped += other.skipped
	r.notes = append(r.notes, other.notes...)
}

func (r *result) fail(format string, arguments ...any) {
	r.failed++
	r.notes = append(r.notes, "FAIL "+fmt.Sprintf(format, arguments...))
}

func pick(steps []step, names ...string) (picked []step) {
	for _, one := range steps {
		for _, name := range names {
			if one.name == name {
				picked = append(picked, one)
			}
		}
	}
	return picked
}

func runAll(steps []step) int {
	var total result
	var rows []string
	began := time.Now()
	for _, one := range steps {
		fmt.Printf("==> %s: %s\n", one.name, one.what)
		start := time.Now()
		outcome := one.run()
		if outcome.passed+outcome.failed == 0 {
			outcome.fail("%s ran nothing", one.name) // an empty run proves nothing
		}
		rows = append(rows, fmt.Sprintf("%-10s %5d passed %4d failed %4d skipped %6.0f s", one.name,
			outcome.passed, outcome.failed, outcome.skipped, time.Since(start).Seconds()))
		fmt.Println("    " + rows[len(rows)-1])
		total.add(outcome)
		if one.needed && outcome.failed > 0 {
			fmt.Printf("    %s failed: the steps after it need it and did not run\n", one.name)
			break
		}
	}
	fmt.Printf("\nSummary after %.0f s\n", time.Since(began).Seconds())
	for _, row := range rows {
		fmt.Println("  " + row)
	}
	for _, note := range total.notes {
		fmt.Println("  " + note)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	if total.failed > 0 {
		return 1
	}
	return 0
}
