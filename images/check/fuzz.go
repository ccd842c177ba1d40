// A short run of every fuzz target, so that a target that no longer compiles
// or finds something at once is seen before a long run.

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// fuzzWorkers is fixed, so that CPU seconds are known: targets x seconds x workers.
const fuzzWorkers = 2

type fuzzTarget struct{ pkg, name string }

func fuzz(cpuSeconds int) (outcome result) {
	targets, err := fuzzTargets()
	if err != nil || len(targets) == 0 {
		outcome.fail("fuzz targets: %d found, %v", len(targets), err)
		return outcome
	}
	each := max(time.Second, time.Duration(cpuSeconds)*time.Second/time.Duration(len(targets)*fuzzWorkers)).Round(100 * time.Millisecond)
	for _, target := range targets {
		process := exec.Command("go", "test", target.pkg, "-run", "^$", "-fuzz", "^"+target.name+"$",
			"-fuzztime", each.String(), "-parallel", fmt.Sprint(fuzzWorkers), "-timeout", "5m")
		output, err := process.CombinedOutput()
		if err != nil && !endedByTheClock(output) {
			fmt.Printf("%s", output)
			outcome.fail("%s %s: %v", target.pkg, target.name, err)
			continue
		}
		last := lastLine(output, "fuzz: elapsed")
		fmt.Printf("    %s %s\n", target.name, last)
		if !generated.MatchString(last) { // its seeds ran, and nothing else: that shows nothing new
			outcome.skipped++
			outcome.notes = append(outcome.notes, fmt.Sprintf("SKIP %s: no generated input was executed in %v", target.name, each))
			continue
		}
		outcome.passed++
	}
	return outcome
}

// generated matches the fuzzer's word that it executed at least one input.
var generated = regexp.MustCompile(`execs: [1-9]`)

// endedByTheClock recognises a run that found nothing and fails only because a
// worker was in the middle of an input when -fuzztime was over: the go command
// then says "context deadline exceeded" and names no failing input.
func endedByTheClock(output []byte) bool {
	return bytes.Contains(output, []byte("\n    context deadline exceeded\n")) &&
		!bytes.Contains(output, []byte("Failing input written"))
}

func fuzzTargets() (targets []fuzzTarget, err error) {
	packages, err := packagesExcept("/suites/")
	if err != nil {
		return nil, err
	}
	// Only packages whose sources hold a target are worth a test binary.
	for _, pkg := range packages {
		folder := "./" + strings.TrimPrefix(strings.TrimPrefix(pkg, modulePath), "/")
		if exec.Command("sh", "-c", "grep -qs '^func Fuzz' "+folder+"/*_test.go").Run() != nil {
			continue
		}
		list, err := exec.Command("go", "test", pkg, "-list", "^Fuzz").Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pkg, err)
		}
		for line := range strings.FieldsSeq(string(list)) {
			if strings.HasPrefix(line, "Fuzz") {
				targets = append(targets, fuzzTarget{pkg, line})
			}
		}
	}
	return targets, nil
}

const modulePath = "github.com/kingly-os/go-kernel"

func lastLine(output []byte, start string) (last string) {
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), start) {
			last = lines.Text()
		}
	}
	return last
}
