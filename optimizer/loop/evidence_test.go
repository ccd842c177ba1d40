package loop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/sim"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/lab/store"
)

// stored is a campaign on a fleet without QEMU, with its book and evidence.
type stored struct {
	out  *Outcome
	from *store.Store
	path string // of the evidence
	book []ledger.Entry
}

func storedCampaign(t *testing.T, seed uint64, fleet *sim.Fleet) stored {
	t.Helper()
	dir := t.TempDir()
	fleet.Load = load
	s := stored{path: filepath.Join(dir, "evidence.db")}
	key, err := ledger.OpenKey(filepath.Join(dir, "lab.key"))
	if err != nil {
		t.Fatal(err)
	}
	if s.from, err = store.Open(context.Background(), s.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.from.Close() })
	objects := []Object(nil)
	if compiled, err := CompileSeeds(context.Background(), dir); err == nil {
		objects = compiled
	} else {
		t.Logf("NOT TESTED: objects from C: %v", err)
	}
	path := filepath.Join(dir, "ledger.jsonl")
	c := &Campaign{Hook: abi.HookNetRX, Seed: seed, Candidates: 2, Packets: 1500, Runner: fleet, Ledger: ledger.Shared{Path: path, Key: key},
		Standing: &standing{}, Evidence: s.from, Objects: objects, Figures: store.Fingerprint{Target: "simulated", KernelDigest: "none"}}
	s.out = run(t, c)
	if _, err := ledger.Read(path, func(e ledger.Entry) error { s.book = append(s.book, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStoredDecisionsAreMadeAgain: whatever a campaign said, won, lost or
// undecided, its samples say the same.
func TestStoredDecisionsAreMadeAgain(t *testing.T) {
	dead := errors.New("guest hung")
	verdicts := map[stats.Verdict]bool{}
	for name, faults := range map[string]sim.Faults{
		"honest": {}, "jitter": {Jitter: true}, "blind to cost": {BlindToCost: true}, "wrong digest": {WrongDigest: true},
		"old nonce": {OldNonce: true}, "beyond the floor": {Cheap: 400},
		"a dead guest": {Boot: func(name string) error {
			if strings.HasPrefix(name, "mutant-1") {
				return dead
			}
			return nil
		}},
	} {
		s := storedCampaign(t, 5, &sim.Fleet{Faults: faults})
		verdicts[s.out.Verdict()] = true
		judged := 0
		for _, entry := range s.book {
			again, err := Rejudge(context.Background(), s.from, s.book, entry.ID)
			switch {
			case entry.Kind != "decision" && entry.Kind != "closing":
				if !errors.Is(err, ErrNotJudged) {
					t.Errorf("%s: record %d (%s): %v", name, entry.ID, entry.Kind, err)
				}
				continue
			case err != nil:
				t.Errorf("%s: %v", name, err)
				continue
			}
			judged++
			if again.Outcome.Decision.Reason != s.out.Decision.Reason {
				t.Errorf("%s: %q, then %q", name, s.out.Decision.Reason, again.Outcome.Decision.Reason)
			}
		}
		if want := len(s.out.Decisions()) + 1; judged != want {
			t.Errorf("%s: %d records judged again, want %d", name, judged, want)
		}
	}
	if !verdicts[stats.Pass] || !verdicts[stats.Inconclusive] {
		t.Errorf("these campaigns ended only with %v", verdicts)
	}
}

// TestAForgedDecisionIsSeen changes what a record says; its samples say
// otherwise, field by field.
func TestAForgedDecisionIsSeen(t *testing.T) {
	s := storedCampaign(t, 6, &sim.Fleet{})
	forged := 0
	for _, entry := range s.book {
		if entry.Kind != "decision" && entry.Kind != "closing" {
			continue
		}
		var body map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(entry.Body)))
		decoder.UseNumber()
		if err := decoder.Decode(&body); err != nil {
			t.Fatal(err)
		}
		for field, value := range body {
			forged++
			body[field] = forge(value)
			text, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			book := append([]ledger.Entry(nil), s.book...)
			book[entry.ID].Body = text
			if _, err := Rejudge(context.Background(), s.from, book, entry.ID); err == nil {
				t.Errorf("record %d: forged %s was not seen", entry.ID, field)
			}
			body[field] = value
		}
	}
	if forged < 50 {
		t.Errorf("only %d fields were forged", forged)
	}
	without := append([]ledger.Entry(nil), s.book...)
	without[0].Kind = "note" // the promise of the seed's hash is gone
	if _, err := Rejudge(context.Background(), s.from, without, s.book[len(s.book)-3].ID); !errors.Is(err, ErrDisagrees) {
		t.Errorf("without the promised seed: %v", err)
	}
}

func forge(value any) any {
	switch v := value.(type) {
	case string:
		return v + "0"
	case bool:
		return !v
	case json.Number:
		return json.Number(v.String() + "1")
	}
	return []any{}
}

// TestForgedSamplesAreSeen changes each column of each table, row by row.
func TestForgedSamplesAreSeen(t *testing.T) {
	s := storedCampaign(t, 7, &sim.Fleet{})
	closing := s.book[len(s.book)-3]
	if closing.Kind != "closing" {
		t.Fatalf("record %d is a %s", closing.ID, closing.Kind)
	}
	db, err := sql.Open("sqlite", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec("CREATE TABLE whole_s AS SELECT * FROM samples")
	exec("CREATE TABLE whole_a AS SELECT * FROM artefacts")
	exec("CREATE TABLE whole_f AS SELECT * FROM fingerprints")
	of := fmt.Sprintf("evidence = '%s'", s.out.Evidence)
	one := of + " AND arm = 1 AND repeat = 1"
	changes := map[string]string{
		"a report": "UPDATE artefacts SET bytes = CAST(bytes || 'x' AS BLOB) WHERE digest = (SELECT report FROM samples WHERE " + one + ")",
		"a hello":  "UPDATE artefacts SET bytes = x'00' WHERE digest = (SELECT hello FROM samples WHERE " + one + ")",
		"a job":    "UPDATE artefacts SET parts = substr(parts, 65) WHERE digest = (SELECT job FROM samples WHERE " + one + ")",
		"no job":   "DELETE FROM artefacts WHERE kind = 'part'",
		"programs": "UPDATE artefacts SET bytes = x'95' WHERE kind = 'program'",
		"trace":    "UPDATE artefacts SET bytes = x'00' WHERE kind = 'trace'",
		"manifest": "UPDATE artefacts SET bytes = CAST(replace(CAST(bytes AS TEXT), 'floor', 'Floor') AS BLOB) WHERE kind = 'manifest'",
		"less":     "DELETE FROM samples WHERE " + one,
		"more":     "INSERT INTO samples SELECT evidence, arm, 7, purpose, name, role, program, job, hello, report, failure, insn_total, offered, needed_offered, needed_delivered, host_ns, fingerprint FROM samples WHERE " + one,
		"kernel":   "UPDATE fingerprints SET kernel_digest = 'another'",
		"seed":     "UPDATE fingerprints SET seed = '1'",
	}
	for _, column := range []string{"purpose", "name", "role", "program", "job", "hello", "report", "failure"} {
		changes[column] = "UPDATE samples SET " + column + " = " + column + " || 'x' WHERE " + one
	}
	for _, column := range []string{"insn_total", "offered", "needed_offered", "needed_delivered", "host_ns"} {
		changes[column] = "UPDATE samples SET " + column + " = " + column + " + 1 WHERE " + one
	}
	for name, change := range changes {
		exec(change)
		_, err := Rejudge(context.Background(), s.from, s.book, closing.ID)
		if err == nil {
			t.Errorf("%s: changed unseen by %s", name, change)
		} else {
			t.Logf("%-16s %.160v", name, err)
		}
		exec("DELETE FROM samples; DELETE FROM artefacts; DELETE FROM fingerprints")
		exec("INSERT INTO samples SELECT * FROM whole_s; INSERT INTO artefacts SELECT * FROM whole_a; INSERT INTO fingerprints SELECT * FROM whole_f")
	}
	if _, err := Rejudge(context.Background(), s.from, s.book, closing.ID); err != nil {
		t.Errorf("restored: %v", err)
	}
}

// TestAFullDiskPromotesNothing: what cannot be kept is not decided.
func TestAFullDiskPromotesNothing(t *testing.T) {
	c, live, path := campaign(t, 8, &sim.Fleet{})
	c.Evidence = fullDisk{}
	if _, err := c.Run(context.Background()); !errors.Is(err, store.ErrFull) || len(live.installed) != 0 {
		t.Errorf("%v, %d installed", err, len(live.installed))
	}
	if _, err := ledger.Read(path, func(e ledger.Entry) error {
		if e.Kind == "decision" || e.Kind == "closing" {
			t.Errorf("a %s stands in the ledger without its samples", e.Kind)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

type fullDisk struct{}

func (fullDisk) Save(context.Context, store.Bundle) (string, error) { return "", store.ErrFull }
