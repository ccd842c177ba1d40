package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2/types"
)

// labRun is one command line in a state directory of its own.
func labRun(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	state, err := os.MkdirTemp("", "lab") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	var out, diagnosis bytes.Buffer
	code = execute(append([]string{"--state", state}, arguments...), strings.NewReader(""), &out, &diagnosis)
	return code, out.String(), diagnosis.String()
}

// verbs are the names on the command line, from the struct that declares them.
func verbs() []string {
	var names []string
	line := reflect.TypeFor[cli]()
	for i := range line.NumField() {
		field := line.Field(i)
		if _, ok := field.Tag.Lookup("cmd"); !ok {
			continue
		}
		name := field.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		names = append(names, name)
	}
	return names
}

// TestHelp: every verb explains itself with an example and exits 0.
func TestHelp(t *testing.T) {
	if len(verbs()) < 10 {
		t.Fatalf("only %v", verbs())
	}
	_, overview, _ := labRun(t, "--help")
	for _, verb := range verbs() {
		code, stdout, stderr := labRun(t, verb, "-h")
		if code != exitPass || stderr != "" || !strings.Contains(stdout, "Example") {
			t.Errorf("lab %s -h: exit %d, stderr %q, no example in:\n%s", verb, code, stderr, stdout)
		}
		if !strings.Contains(overview, "  "+verb+" ") {
			t.Errorf("lab --help does not list %s", verb)
		}
	}
}

// TestUsage: what does not exist or parse exits 2 and says so, with nothing on
// stdout; lab exec keeps its own code.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		says string
	}{
		{"", exitUsage, "expected"},
		{"optimize dns", exitUsage, "optimize"},
		{"status --no-such-flag", exitUsage, "no-such-flag"},
		{"run no-such-suite", exitUsage, "no-such-suite"},
		{"run boot --target vax", exitUsage, "vax"},
		{"console nobody", exitUsage, "nobody"},
		{"trace", exitUsage, "nothing runs"},
		{"gdb", exitUsage, "nothing runs"},
		{"exec", execFailed, "no program given"},
		{"exec --target vax -- /bin/true", execFailed, "vax"},
		{"exec --target go-kernel -- /bin/true", execFailed, "does not run programs yet"},
	} {
		code, stdout, stderr := labRun(t, strings.Fields(c.line)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) || !strings.HasPrefix(stderr, "lab: ") {
			t.Errorf("lab %s: exit %d (want %d), stdout %q, stderr %q (want %q)", c.line, code, c.code, stdout, stderr, c.says)
		}
	}
}

// TestLongState: sockets would not fit; the error says what to do.
func TestLongState(t *testing.T) {
	var out, diagnosis bytes.Buffer
	code := execute([]string{"--state", "/tmp/" + strings.Repeat("x", 100), "status"}, nil, &out, &diagnosis)
	if code != exitInfra || !strings.Contains(diagnosis.String(), "--state") {
		t.Errorf("exit %d, %q", code, diagnosis.String())
	}
}

// TestDocuments: --json prints one document with the promised fields.
func TestDocuments(t *testing.T) {
	for verb, fields := range map[string][]string{"status": {"fleet"}, "down": {"stopped", "owners", "stale"}, "doctor": {"checks"}} {
		code, stdout, stderr := labRun(t, verb, "--json")
		var document map[string]any
		if err := json.Unmarshal([]byte(stdout), &document); err != nil {
			t.Errorf("lab %s --json: exit %d, %v in %q, stderr %q", verb, code, err, stdout, stderr)
			continue
		}
		for _, field := range fields {
			if _, ok := document[field]; !ok {
				t.Errorf("lab %s --json lacks %s: %s", verb, field, stdout)
			}
		}
	}
}

// TestDoctorSaysHow: a failed check carries the command that mends it, a good
// one none, and the exit code agrees.
func TestDoctorSaysHow(t *testing.T) {
	t.Setenv("LAB_IMAGES", t.TempDir()) // nothing is built there
	code, stdout, _ := labRun(t, "doctor", "--json")
	var document struct{ Checks []check }
	if err := json.Unmarshal([]byte(stdout), &document); err != nil {
		t.Fatal(err)
	}
	if code != exitFail {
		t.Errorf("exit %d without images, want %d", code, exitFail)
	}
	fixes := map[string]string{}
	for _, c := range document.Checks {
		if c.Name == "" || c.Detail == "" || c.OK != (c.Fix == "") {
			t.Errorf("check %+v", c)
		}
		fixes[c.Name] = c.Fix
	}
	if fixes["image go-kernel"] != "make kernel" || fixes["image linux-6.12"] != "make linux-guest" {
		t.Errorf("fixes %v", fixes)
	}
}

// TestExitCodes: each kind of error has its code, also when wrapped.
func TestExitCodes(t *testing.T) {
	for code, err := range map[int]error{
		exitPass: nil, exitFail: fail("x"), exitUsage: usage("x"), exitInconclusive: inconclusive("x"), exitInfra: errors.New("untyped"),
		execFailed: &verdictError{code: execFailed, cause: errors.New("x")}, 77: exitWith(77),
	} {
		if got := exitCode(err); got != code {
			t.Errorf("%v: exit %d, want %d", err, got, code)
		}
	}
	if got := exitCode(infra("%w", fail("inner"))); got != exitInfra {
		t.Errorf("outermost decides: exit %d", got)
	}
}

// TestRunVerdicts: no specs and only skipped ones never pass.
func TestRunVerdicts(t *testing.T) {
	spec := func(state types.SpecState) types.SpecReport {
		return types.SpecReport{LeafNodeType: types.NodeTypeIt, State: state}
	}
	setUp := types.SpecReport{LeafNodeType: types.NodeTypeBeforeSuite, State: types.SpecStateFailed}
	for _, c := range []struct {
		name    string
		specs   types.SpecReports
		goTest  error
		code    int
		verdict string
	}{
		{"passes", types.SpecReports{spec(types.SpecStatePassed), spec(types.SpecStateSkipped)}, nil, exitPass, "pass"},
		{"fails", types.SpecReports{spec(types.SpecStatePassed), spec(types.SpecStateFailed)}, errors.New("exit 1"), exitFail, "fail"},
		{"panics", types.SpecReports{spec(types.SpecStatePanicked)}, errors.New("exit 1"), exitFail, "fail"},
		{"set-up fails", types.SpecReports{setUp, spec(types.SpecStateSkipped)}, errors.New("exit 1"), exitFail, "fail"},
		{"empty", nil, nil, exitInfra, "infra"},
		{"all skipped", types.SpecReports{spec(types.SpecStateSkipped), spec(types.SpecStatePending)}, nil, exitInconclusive, "inconclusive"},
		{"killed", types.SpecReports{spec(types.SpecStatePassed)}, errors.New("killed"), exitInfra, "infra"},
	} {
		var out bytes.Buffer
		e := &env{ctx: t.Context(), stdout: &out, stderr: &out}
		result := suiteResult{}
		result.add(types.Report{SpecReports: c.specs})
		code := exitCode(runVerb{Suite: c.name}.conclude(e, &result, c.goTest))
		if code != c.code || result.Verdict != c.verdict || result.Specs != result.Passed+result.Failed+result.Skipped {
			t.Errorf("%s: exit %d, %+v", c.name, code, result)
		}
	}
}
