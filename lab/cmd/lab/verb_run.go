package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// runVerb runs a Ginkgo suite of suites/ against fresh guests.
type runVerb struct {
	Suite  string        `arg:"" help:"Folder of suites/, such as boot; all runs every one."`
	Target string        `default:"go-kernel" help:"Kernel under test."`
	JUnit  string        `name:"junit" placeholder:"FILE" help:"Write JUnit XML."`
	Focus  string        `placeholder:"REGEXP" help:"Only specs whose text matches."`
	Limit  time.Duration `default:"30m" help:"Wall-clock limit of the whole run."`
}

func (runVerb) Help() string {
	return "A run of no specs is an error. Skipped specs are named.\n\nExample:\n\n  lab run boot --junit boot.xml\n  lab run all --json | jq .verdict"
}

// suiteResult is what --json prints.
type suiteResult struct {
	Suite    string        `json:"suite"`
	Target   string        `json:"target"`
	Seed     uint64        `json:"seed"`
	Specs    int           `json:"specs"`
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Skipped  int           `json:"skipped"`
	Verdict  string        `json:"verdict"`
	Failures []specFailure `json:"failures"`
	Seconds  float64       `json:"seconds"`
}

type specFailure struct {
	Spec    string `json:"spec"`
	Place   string `json:"place"`
	Message string `json:"message"`
}

func (v runVerb) Run(e *env) error {
	target, err := fleet.CanonicalTarget(v.Target)
	if err != nil {
		return usage("%w", err)
	}
	artefacts, err := fleet.FindArtefacts()
	if err != nil {
		return infra("%w", err)
	}
	folders, err := suiteFolders(artefacts.Root, v.Suite)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "lab-run")
	if err != nil {
		return infra("%w", err)
	}
	defer os.RemoveAll(scratch)
	started := time.Now()
	runErr := v.goTest(e, artefacts, target, folders, scratch)
	reports, err := readReports(scratch)
	if err != nil {
		return infra("%w (go test: %v)", err, runErr)
	}
	result := suiteResult{Suite: v.Suite, Target: target, Seed: e.Seed, Failures: []specFailure{}, Seconds: time.Since(started).Seconds()}
	for _, report := range reports {
		result.add(report)
	}
	if v.JUnit != "" {
		if err := mergeJUnit(scratch, v.JUnit); err != nil {
			return infra("%w", err)
		}
	}
	return v.conclude(e, &result, runErr)
}

func (v runVerb) conclude(e *env, result *suiteResult, runErr error) error {
	verdict, err := "pass", error(nil)
	switch {
	case e.ctx.Err() != nil:
		verdict, err = "infra", infra("interrupted")
	case result.Failed > 0:
		verdict, err = "fail", fail("%d of %d specs failed", result.Failed, result.Specs)
	case runErr != nil:
		verdict, err = "infra", infra("go test: %w", runErr)
	case result.Specs == 0:
		verdict, err = "infra", infra("suite %s ran no specs: nothing was tested", v.Suite)
	case result.Passed == 0:
		verdict, err = "inconclusive", inconclusive("all %d specs were skipped: nothing was tested", result.Specs)
	}
	result.Verdict = verdict
	e.printf("%s on %s: %d specs, %d passed, %d failed, %d skipped in %.0f s: %s\n", result.Suite, result.Target,
		result.Specs, result.Passed, result.Failed, result.Skipped, result.Seconds, verdict)
	for _, failure := range result.Failures {
		e.printf("FAILED %s\n  %s\n  %s\n", failure.Spec, failure.Place, strings.ReplaceAll(failure.Message, "\n", "\n  "))
	}
	if printErr := e.document(result); printErr != nil {
		return printErr
	}
	return err
}

// suiteFolders are the folders of suites/ with specs, as go test names them.
func suiteFolders(root, suite string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "suites", "*", "*_test.go"))
	if err != nil {
		return nil, infra("%w", err)
	}
	seen := map[string]bool{}
	var names []string
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if suite == "all" && len(names) > 0 {
		return names, nil
	}
	if !seen[suite] {
		return nil, usage("no suite %q: there are %s, and all", suite, strings.Join(names, ", "))
	}
	return []string{suite}, nil
}

// goTest runs the suites one after the other: the guests of one already use all
// cores. Output goes to stderr.
func (v runVerb) goTest(e *env, artefacts fleet.Artefacts, target string, folders []string, scratch string) error {
	var failures []error
	for _, folder := range folders {
		arguments := []string{"test", "-count=1", "-timeout", v.Limit.String(), "./suites/" + folder,
			"-ginkgo.no-color", "-ginkgo.json-report=" + filepath.Join(scratch, folder+".json"),
			"-ginkgo.junit-report=" + filepath.Join(scratch, folder+".xml")}
		if v.Focus != "" {
			arguments = append(arguments, "-ginkgo.focus="+v.Focus)
		}
		e.logf("running suites/%s", folder)
		command := exec.CommandContext(e.ctx, "go", arguments...)
		command.Dir = artefacts.Root
		command.Env = append(os.Environ(), "LAB_ROOT="+artefacts.Root, "LAB_IMAGES="+artefacts.Images, "LAB_TARGET="+target,
			fmt.Sprintf("LAB_SEED=%d", e.Seed), "LAB_REQUIRE_GUESTS=1")
		command.Stdout, command.Stderr = e.stderr, e.stderr
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // the suite stops its guests
		command.WaitDelay = 20 * time.Second
		if err := command.Run(); err != nil {
			failures = append(failures, fmt.Errorf("suites/%s: %w", folder, err))
		}
	}
	return errors.Join(failures...)
}

func readReports(scratch string) ([]types.Report, error) {
	files, err := filepath.Glob(filepath.Join(scratch, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("no suite wrote a report")
	}
	var all []types.Report
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var reports []types.Report
		if err := json.Unmarshal(text, &reports); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		all = append(all, reports...)
	}
	return all, nil
}

// add counts specs; a failing node around them, such as a set-up, is a failure
// of its own.
func (r *suiteResult) add(report types.Report) {
	for _, spec := range report.SpecReports {
		isSpec := spec.LeafNodeType == types.NodeTypeIt
		failed := spec.State.Is(types.SpecStateFailureStates)
		if isSpec {
			r.Specs++
		}
		switch {
		case failed:
			r.Failed++
			if !isSpec {
				r.Specs++
			}
			r.Failures = append(r.Failures, specFailure{Spec: spec.FullText(), Place: spec.FailureLocation().String(), Message: spec.FailureMessage()})
		case isSpec && spec.State == types.SpecStatePassed:
			r.Passed++
		case isSpec:
			r.Skipped++
		}
	}
}

// mergeJUnit writes one document with the suites of all files.
func mergeJUnit(scratch, to string) error {
	files, err := filepath.Glob(filepath.Join(scratch, "*.xml"))
	if err != nil {
		return err
	}
	var merged bytes.Buffer
	merged.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		start, end := bytes.Index(text, []byte("<testsuite ")), bytes.LastIndex(text, []byte("</testsuites>"))
		if start < 0 || end < start {
			return fmt.Errorf("%s is no JUnit document", filepath.Base(file))
		}
		merged.Write(text[start:end])
	}
	merged.WriteString("</testsuites>\n")
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, &merged); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
