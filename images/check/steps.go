// The steps, in order: what later ones need comes first, what fails most
// cheaply before what takes long.

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func allSteps(fuzzSeconds int) []step {
	return []step{
		{"needs", "Debian packages for building and testing", command("images/install.sh", "build", "test"), true},
		{"build", "kernel through gates A to F, Linux guest, bin/lab", command("make", "--no-print-directory", "lab"), true},
		{"vet", "go vet", command("go", "vet", "./..."), false},
		{"lint", "golangci-lint, clang-format, clang-tidy", lint, false},
		{"host", "host tests, fuzz seeds, house rules, browser", hostTests, false},
		{"suites", "Ginkgo suites against guests", suites, false},
		{"fuzz", fmt.Sprintf("every fuzz target, %d CPU seconds in all", fuzzSeconds), func() result { return fuzz(fuzzSeconds) }, false},
	}
}

// command is a step of one process: passed or failed.
func command(name string, arguments ...string) func() result {
	return func() (outcome result) {
		if err := show(name, arguments...); err != nil {
			outcome.fail("%s %s: %v", name, strings.Join(arguments, " "), err)
			return outcome
		}
		outcome.passed++
		return outcome
	}
}

// show runs a command with its output on ours.
func show(name string, arguments ...string) error {
	process := exec.Command(name, arguments...)
	process.Stdout, process.Stderr = os.Stdout, os.Stderr
	return process.Run()
}

// lint runs each linter as a test of its own.
func lint() (outcome result) {
	outcome.add(command("make", "--no-print-directory", "lint-go")())
	outcome.add(command("make", "--no-print-directory", "lint-c-format")())
	outcome.add(command("make", "--no-print-directory", "lint-c-tidy")())
	return outcome
}

func hostTests() (outcome result) {
	packages, err := packagesExcept("/suites/")
	if err != nil {
		outcome.fail("go list: %v", err)
		return outcome
	}
	return goTest(append([]string{"-timeout", "15m"}, packages...)...)
}

func packagesExcept(part string) (packages []string, err error) {
	list, err := exec.Command("go", "list", "./...").Output()
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(string(list)) {
		if !strings.Contains(name+"/", part) {
			packages = append(packages, name)
		}
	}
	return packages, nil
}

// suites runs each folder of suites/ that has specs, one after the other: the
// guests of one already use all cores.
func suites() (outcome result) {
	folders, err := filepath.Glob("suites/*/*_test.go")
	if err != nil || len(folders) == 0 {
		outcome.fail("no suites found: %v", err)
		return outcome
	}
	out, err := filepath.Abs("images/out/test")
	if err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	if err != nil {
		outcome.fail("%v", err)
		return outcome
	}
	seen := map[string]bool{}
	for _, file := range folders {
		folder := filepath.Dir(file)
		if seen[folder] {
			continue
		}
		seen[folder] = true
		outcome.add(suite(folder, filepath.Join(out, filepath.Base(folder)+".xml")))
	}
	return outcome
}

func suite(folder, junit string) (outcome result) {
	_ = os.Remove(junit) // a stale report must not count
	fmt.Printf("    %s\n", folder)
	start := time.Now()
	process := exec.Command("go", "test", "-count=1", "-timeout", "15m", "./"+folder,
		"-ginkgo.junit-report="+junit, "-ginkgo.no-color")
	process.Env = append(os.Environ(), "LAB_REQUIRE_GUESTS=1") // a missing kernel fails here
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	err := process.Run()
	report, readErr := os.ReadFile(junit)
	if readErr == nil {
		outcome, readErr = readJUnit(report)
	}
	if readErr != nil {
		outcome.fail("%s: no report: %v", folder, readErr)
	} else if err != nil && outcome.failed == 0 {
		outcome.fail("%s: %v", folder, err)
	}
	if outcome.failed > 0 {
		_, _ = io.Copy(os.Stdout, &output)
	}
	fmt.Printf("    %s: %d passed, %d failed, %d skipped in %.0f s\n", folder,
		outcome.passed, outcome.failed, outcome.skipped, time.Since(start).Seconds())
	return outcome
}
