package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/bench"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/stats"
)

func TestParseTargets(t *testing.T) {
	got, err := parseTargets("go-kernel=3, linux=1,linux-6.1=0")
	if err != nil || len(got) != 2 || got["go-kernel"] != 3 || got["linux-6.12"] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "go-kernel", "go-kernel=x", "go-kernel=-1", "plan9=1", "linux=1,linux-6.12=1", "go-kernel=1000"} {
		if _, err := parseTargets(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// run executes a command line and returns its exit code and output.
func run(arguments ...string) (int, string, string) {
	var out, errors bytes.Buffer
	code := execute(arguments, strings.NewReader(""), &out, &errors)
	return code, out.String(), errors.String()
}

func TestLedgerVerb(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	if code, _, said := run("ledger", "--ledger", path); code != exitInfra || !strings.Contains(said, "no ledger") {
		t.Errorf("without a ledger: exit %d, %s", code, said)
	}
	book := ledger.Shared{Path: path}
	for _, reason := range []string{"saves 4 %", "costs 2 %"} {
		if _, err := book.Append("decision", map[string]any{"candidate": "abcdef", "verdict": "pass", "reason": reason}); err != nil {
			t.Fatal(err)
		}
	}
	code, text, _ := run("ledger", "--ledger", path, "--json")
	var document struct {
		Records []struct{ Candidate, Verdict, Reason string }
		ChainOK bool `json:"chain_ok"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || code != exitPass {
		t.Fatalf("exit %d, %v: %s", code, err, text)
	}
	if len(document.Records) != 2 || !document.ChainOK || document.Records[1].Reason != "costs 2 %" {
		t.Errorf("%+v", document)
	}
	if _, text, _ := run("ledger", "--ledger", path); !strings.Contains(text, "2 entries are unsigned") {
		t.Errorf("a ledger of the first format: %s", text)
	}
	if code, _, said := run("judge", "1", "--ledger", path); code != exitInconclusive || !strings.Contains(said, "before samples were kept") {
		t.Errorf("judging a record of the first format: exit %d, %s", code, said)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(whole, []byte("saves 4"), []byte("saves 9"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, said := run("ledger", "--ledger", path); code != exitFail || !strings.Contains(said, "was changed") {
		t.Errorf("a changed entry: exit %d, %s", code, said)
	}
}

func TestBenchVerdicts(t *testing.T) {
	inside := bench.Row{Verdict: stats.Inside}
	for name, c := range map[string]struct {
		result bench.Result
		want   int
	}{
		"nothing": {bench.Result{Repeat: stats.Repeat{Equal: true}}, exitInfra},
		"inside":  {bench.Result{Rows: []bench.Row{inside}, Repeat: stats.Repeat{Equal: true}}, exitPass},
		"outside": {bench.Result{Rows: []bench.Row{inside, {Verdict: stats.Outside}}, Repeat: stats.Repeat{Equal: true}}, exitFail},
		"problem": {bench.Result{Rows: []bench.Row{{Problem: "did not boot"}}, Repeat: stats.Repeat{Equal: true}}, exitInfra},
		"repeat":  {bench.Result{Rows: []bench.Row{{Verdict: stats.Outside}}, Repeat: stats.Repeat{Differing: []string{"x"}}}, exitInconclusive},
	} {
		if got := exitCode(benchVerdict(&c.result)); got != c.want {
			t.Errorf("%s: exit %d, want %d", name, got, c.want)
		}
	}
	if code, _, said := run("bench", "overhead"); code != exitUsage || !strings.Contains(said, "boot/ready") {
		t.Errorf("an unknown benchmark: exit %d, %s", code, said)
	}
	if _, err := wireProgram(bench.NetRXSource); err != nil {
		t.Errorf("the program of bpf/net-rx: %v", err)
	}
}
