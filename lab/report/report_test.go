package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the parser says beside the logs")

// TestLogs parses numbered logs; the findings stand beside them as JSON. All
// but 005 (written after arm64 oopses) were printed by guests in November 2026.
func TestLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) < 7 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(Parse(text), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(log, ".log") + ".json"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", log, got, want)
		}
	}
}

// TestTitles states what matters in the golden files.
func TestTitles(t *testing.T) {
	for log, want := range map[string][]string{
		"001-ours-data-abort":     {"panic: data abort in kernel_panic_thread"},
		"002-ours-stack-overflow": {"panic: stack overflow in descend"},
		"003-ours-contained": {"contained fault in svc_plant (service control)", "contained fault in svc_plant (service control)",
			"contained fault in svc_plant (service control)", "contained fault in svc_plant (service control)"},
		"004-linux-panic":    {"Kernel panic - not syncing: sysrq triggered crash in sysrq_handle_crash"},
		"005-linux-oops":     {"Unable to handle kernel NULL pointer dereference at virtual address N in virtnet_poll"},
		"006-ours-cut-short": {"panic: data abort in kernel_panic_thread"},
		"007-ours-well":      nil,
	} {
		text, err := os.ReadFile("testdata/" + log + ".log")
		if err != nil {
			t.Fatal(err)
		}
		findings := Parse(text)
		if len(findings) != len(want) {
			t.Errorf("%s: %d findings, want %d", log, len(findings), len(want))
			continue
		}
		for i, finding := range findings {
			if finding.Title != want[i] {
				t.Errorf("%s: title %q, want %q", log, finding.Title, want[i])
			}
			if cut := log == "006-ours-cut-short" || log == "004-linux-panic"; finding.Complete == cut {
				t.Errorf("%s: complete = %v", log, finding.Complete)
			}
		}
	}
}

// TestTitlesAgree: the same panic at other addresses and times has the same
// title, and all lines of a block are inside it.
func TestTitlesAgree(t *testing.T) {
	text, err := os.ReadFile("testdata/001-ours-data-abort.log")
	if err != nil {
		t.Fatal(err)
	}
	moved := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("ffff0000"), []byte("ffff1111")), []byte("90823584"), []byte("7"))
	one, other := Parse(text), Parse(moved)
	if one[0].Title != other[0].Title {
		t.Errorf("%q and %q", one[0].Title, other[0].Title)
	}
	if lines := bytes.Count(text, []byte("panic: ")); one[0].LastLine-one[0].FirstLine+1 != lines {
		t.Errorf("lines %d to %d, the block has %d", one[0].FirstLine, one[0].LastLine, lines)
	}
	if len(one[0].Registers) < 34 {
		t.Errorf("%d registers", len(one[0].Registers))
	}
}

// FuzzParse: any log is read without harm, findings lie inside the log and in
// order, and titles are free of what differs between runs.
func FuzzParse(f *testing.F) {
	logs, _ := filepath.Glob("testdata/*.log")
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		lines := bytes.Count(log, []byte("\n")) + 1
		last := 0
		for _, finding := range Parse(log) {
			if finding.FirstLine <= last || finding.LastLine < finding.FirstLine || finding.LastLine > lines {
				t.Fatalf("lines %d to %d after %d of %d", finding.FirstLine, finding.LastLine, last, lines)
			}
			last = finding.FirstLine
			if finding.Title == "" || len(finding.Frames) > framesMax {
				t.Fatalf("finding %+v", finding)
			}
		}
	})
}
