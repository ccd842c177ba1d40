package gates

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Host is gate E: go vet, and in every package at least one test whose name
// contains Alloc, all of them passing. Those tests measure AllocsPerRun == 0 of
// the package's entry points; a package without one was not measured.
func Host(directory string, patterns ...string) ([]Finding, error) {
	var findings []Finding
	if out, err := goCommand(directory, append([]string{"vet"}, patterns...)); err != nil {
		findings = append(findings, Finding{"E", "go vet", strings.TrimSpace(out)})
	}
	packages, err := List(directory, patterns...)
	if err != nil {
		return nil, err
	}
	passed := map[string]int{}
	out, testErr := goCommand(directory, append([]string{"test", "-json", "-short", "-run", "Alloc"}, patterns...))
	for _, text := range strings.Split(out, "\n") {
		var event struct{ Action, Package, Test, Output string }
		if json.Unmarshal([]byte(text), &event) != nil || event.Test == "" {
			continue
		}
		switch event.Action {
		case "pass":
			passed[event.Package]++
		case "fail":
			findings = append(findings, Finding{"E", event.Package, event.Test + " failed"})
		}
	}
	if testErr != nil && len(findings) == 0 {
		findings = append(findings, Finding{"E", "go test", fmt.Sprintf("%v\n%s", testErr, strings.TrimSpace(out))})
	}
	for _, p := range packages {
		if !p.DepOnly && passed[p.ImportPath] == 0 {
			findings = append(findings, Finding{"E", p.ImportPath, "no passing test named ...Alloc...: its allocations were not measured"})
		}
	}
	return findings, nil
}

func goCommand(directory string, args []string) (string, error) {
	command := exec.Command("go", args...)
	command.Dir = directory
	out, err := command.CombinedOutput()
	return string(out), err
}
