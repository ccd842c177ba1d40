package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/kingly-os/go-kernel/lab/ledger"
)

// ledgerVerb lists the decisions and checks their chain.
type ledgerVerb struct {
	Ledger string `help:"File of the ledger." env:"LAB_LEDGER" placeholder:"FILE"`
	Last   int    `help:"Only the last N entries; 0 = all." default:"0"`
}

func (ledgerVerb) Help() string {
	return `Lists what was decided, oldest first, and checks that no entry was changed,
removed or inserted. A broken chain is exit code 1.

Example:

  lab ledger --last 10
  lab ledger --json | jq '.records[] | select(.kind == "closing")'`
}

// ledgerRecord is one entry as the document shows it.
type ledgerRecord struct {
	ID        uint64          `json:"id"`
	Time      string          `json:"time"`
	Kind      string          `json:"kind"`
	Candidate string          `json:"candidate"`
	Hook      string          `json:"hook"`
	Verdict   string          `json:"verdict"`
	Reason    string          `json:"reason"`
	PrevOK    bool            `json:"prev_ok"`
	Hash      string          `json:"hash"`
	Body      json.RawMessage `json:"body"`
}

func (v ledgerVerb) Run(e *env) error {
	path := v.Ledger
	if path == "" {
		var err error
		if path, err = ledger.DefaultPath(); err != nil {
			return infra("%w", err)
		}
	}
	records := []ledgerRecord{}
	count, err := ledger.Read(path, func(entry ledger.Entry) error {
		records = append(records, describeEntry(entry))
		return nil
	})
	broken := errors.Is(err, ledger.ErrChain)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return infra("there is no ledger at %s yet: lab up writes one", path)
	case err != nil && !broken:
		return infra("%w", err)
	}
	if v.Last > 0 && len(records) > v.Last {
		records = records[len(records)-v.Last:]
	}
	for _, r := range records {
		e.printf("%6d  %s  %-9s %-12.12s %-13s %s\n", r.ID, r.Time, r.Kind, r.Candidate, r.Verdict, r.Reason)
	}
	if broken {
		_ = e.document(map[string]any{"records": records, "ledger": path, "chain_ok": false, "error": err.Error()})
		return fail("%w", err)
	}
	e.printf("%d entries, the chain holds (%s)\n", count, path)
	return e.document(map[string]any{"records": records, "ledger": path, "chain_ok": true})
}

// describeEntry takes the common fields out of a body, whatever its kind.
func describeEntry(entry ledger.Entry) ledgerRecord {
	var common struct {
		Candidate, Promoted, Hook, Verdict, Reason, Said, Guest, Stage, Code string
	}
	_ = json.Unmarshal(entry.Body, &common) // a field of another shape is left out, the body is shown whole
	record := ledgerRecord{ID: entry.ID, Time: entry.Time.Format("2006-01-02T15:04:05Z"), Kind: entry.Kind, Candidate: common.Candidate,
		Hook: common.Hook, Verdict: common.Verdict, Reason: common.Reason, PrevOK: true, Hash: entry.Hash, Body: entry.Body}
	if record.Candidate == "" {
		record.Candidate = common.Promoted
	}
	if common.Said != "" {
		record.Reason = common.Said
	}
	if entry.Kind == "kernel" {
		record.Reason = fmt.Sprintf("%s %s %s", common.Guest, common.Stage, common.Code)
	}
	return record
}
