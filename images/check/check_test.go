package main

import (
	"strings"
	"testing"
)

func TestGoTestEventsAreCounted(t *testing.T) {
	stream := `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestOne"}
{"Action":"output","Package":"a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"pass","Package":"a","Test":"TestOne/sub"}
{"Action":"pass","Package":"a","Test":"TestOne"}
{"Action":"output","Package":"a","Test":"TestTwo","Output":"    a_test.go:3: SKIP: no kernel\n"}
{"Action":"skip","Package":"a","Test":"TestTwo"}
{"Action":"skip","Package":"a","Test":"TestFour/case"}
{"Action":"pass","Package":"a","Test":"TestFour"}
{"Action":"output","Package":"a","Test":"TestThree","Output":"    a_test.go:9: boom\n"}
{"Action":"fail","Package":"a","Test":"TestThree"}
{"Action":"fail","Package":"a"}
{"Action":"build-output","ImportPath":"b","Output":"b.go:1: no\n"}
{"Action":"fail","Package":"b"}
{"Action":"skip","Package":"no-tests"}
`
	var log strings.Builder
	got := readGoTest(strings.NewReader(stream), &log)
	if got.passed != 2 || got.failed != 2 || got.skipped != 2 {
		t.Errorf("%d passed, %d failed, %d skipped, want 2 each", got.passed, got.failed, got.skipped)
	}
	notes := strings.Join(got.notes, "\n")
	for _, want := range []string{"SKIP a TestTwo: a_test.go:3: SKIP: no kernel", "FAIL a TestThree", "FAIL b (the package", "SKIP a TestFour/case"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "b.go:1: no") {
		t.Errorf("the log lacks what a failing test printed:\n%s", log.String())
	}
}

func TestJUnitIsCounted(t *testing.T) {
	got, err := readJUnit([]byte(`<testsuites><testsuite>
<testcase name="[It] boots" status="passed"/>
<testcase name="[BeforeSuite]" status="passed"/>
<testcase name="[It] idles" status="failed"><failure message="x"/></testcase>
<testcase name="[It] flies" status="skipped"><skipped message="no wings"/></testcase>
</testsuite></testsuites>`))
	if err != nil || got.passed != 1 || got.failed != 1 || got.skipped != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := readJUnit([]byte(`<testsuites><testsuite/></testsuites>`)); err == nil {
		t.Error("a report without specs was accepted")
	}
	if _, err := readJUnit([]byte(`<testsuites>`)); err == nil {
		t.Error("half a report was accepted")
	}
}

func TestAStepThatRunsNothingFails(t *testing.T) {
	empty := step{name: "empty", what: "nothing", run: func() result { return result{} }}
	if code := runAll([]step{empty}); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	ran := false
	broken := step{name: "broken", run: func() result { return result{failed: 1} }, needed: true}
	after := step{name: "after", run: func() result { ran = true; return result{passed: 1} }}
	if code := runAll([]step{broken, after}); code != 1 || ran {
		t.Errorf("exit %d, later step ran: %v; want 1, false", code, ran)
	}
	if code := runAll([]step{after}); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

func TestOnlyTheClockIsForgiven(t *testing.T) {
	clock := "--- FAIL: FuzzSplit (3.03s)\n    context deadline exceeded\nFAIL\n"
	finding := "--- FAIL: FuzzSplit (3.03s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzSplit/1\nFAIL\n"
	crash := "--- FAIL: FuzzSplit (3.03s)\n    panic: no\nFAIL\n"
	for output, want := range map[string]bool{clock: true, finding: false, crash: false} {
		if got := endedByTheClock([]byte(output)); got != want {
			t.Errorf("%q: %v, want %v", output, got, want)
		}
	}
}

// A run that only replayed its seeds must not count as fuzzing.
func TestAnIdleFuzzerIsNoPass(t *testing.T) {
	for line, want := range map[string]bool{
		"fuzz: elapsed: 2s, gathering baseline coverage: 0/3 completed":       false,
		"fuzz: elapsed: 3s, execs: 0 (0/sec), new interesting: 0 (total: 16)": false,
		"": false,
		"fuzz: elapsed: 3s, execs: 20 (8/sec), new interesting: 0 (total: 16)":         true,
		"fuzz: elapsed: 2s, execs: 15081 (7141/sec), new interesting: 70 (total: 126)": true,
	} {
		if got := generated.MatchString(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
