// Counting what `go test -json` and Ginkgo's JUnit report say.

package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
}

func goTest(arguments ...string) (outcome result) {
	process := exec.Command("go", append([]string{"test", "-json"}, arguments...)...)
	process.Stderr = os.Stderr
	stream, err := process.StdoutPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		outcome.fail("go test: %v", err)
		return outcome
	}
	outcome = readGoTest(stream, os.Stdout)
	if err := process.Wait(); err != nil && outcome.failed == 0 {
		outcome.fail("go test: %v", err)
	}
	return outcome
}

// readGoTest counts top-level tests; a package that fails without a failing
// test (it does not build, or it was killed) counts as one failure.
func readGoTest(stream io.Reader, log io.Writer) (outcome result) {
	output := map[string][]string{} // of each test, and of each package under its own name
	failedTests := map[string]int{}
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var one event
			if json.Unmarshal([]byte(line), &one) == nil {
				outcome.count(one, output, failedTests, log)
			} else {
				_, _ = io.WriteString(log, line)
			}
		}
		if err != nil {
			return outcome
		}
	}
}

func (r *result) count(one event, output map[string][]string, failedTests map[string]int, log io.Writer) {
	top, _, _ := strings.Cut(one.Test, "/")
	key := one.Package + " " + top
	switch one.Action {
	case "output", "build-output":
		if one.Action == "build-output" {
			_, _ = io.WriteString(log, one.Output)
			return
		}
		output[key] = append(output[key], one.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if strings.Contains(one.Test, "/") {
		if one.Action == "skip" {
			r.skipped++
			r.notes = append(r.notes, fmt.Sprintf("SKIP %s %s", one.Package, one.Test))
		}
		return
	}
	switch {
	case one.Test == "" && one.Action == "fail" && failedTests[one.Package] == 0:
		r.fail("%s (the package as a whole)", one.Package)
		_, _ = io.WriteString(log, strings.Join(output[key], ""))
	case one.Test == "" && one.Action == "pass":
		fmt.Fprintf(log, "    ok   %s\n", one.Package)
	case one.Test == "":
	case one.Action == "pass":
		r.passed++
	case one.Action == "fail":
		failedTests[one.Package]++
		r.fail("%s %s", one.Package, one.Test)
		_, _ = io.WriteString(log, strings.Join(output[key], ""))
	case one.Action == "skip":
		r.skipped++
		r.notes = append(r.notes, fmt.Sprintf("SKIP %s %s: %s", one.Package, one.Test, reason(output[key])))
	}
	delete(output, key)
}

// reason is what a skipped test printed besides its own name.
func reason(lines []string) string {
	var kept []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, " ")
}

type junitReport struct {
	Suites []struct {
		Cases []struct {
			Name    string `xml:"name,attr"`
			Status  string `xml:"status,attr"`
			Skipped *struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// readJUnit counts the specs of Ginkgo's report; zero specs are an error.
func readJUnit(data []byte) (outcome result, err error) {
	var report junitReport
	if err := xml.Unmarshal(data, &report); err != nil {
		return outcome, err
	}
	for _, suite := range report.Suites {
		for _, one := range suite.Cases {
			// Set-up nodes are reported as cases of their own, and count only when they fail.
			isSpec := strings.HasPrefix(one.Name, "[It]")
			switch {
			case one.Failure != nil || one.Error != nil:
				outcome.fail("%s", one.Name)
			case !isSpec:
			case one.Skipped != nil || one.Status == "skipped" || one.Status == "pending":
				outcome.skipped++
				message := ""
				if one.Skipped != nil {
					message = one.Skipped.Message
				}
				outcome.notes = append(outcome.notes, fmt.Sprintf("SKIP %s: %s", one.Name, message))
			default:
				outcome.passed++
			}
		}
	}
	if outcome.passed+outcome.failed+outcome.skipped == 0 {
		return outcome, errors.New("the report holds no spec")
	}
	return outcome, nil
}
