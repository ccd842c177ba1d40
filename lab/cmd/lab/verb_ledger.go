package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/kingly-os/go-kernel/lab/ledger"
)

// bookFlags say where a ledger and its key are; the evidence lies beside them.
type bookFlags struct {
	Ledger string `help:"File of the ledger; the samples lie beside it." env:"LAB_LEDGER" placeholder:"FILE"`
	Key    string `help:"Key that signs, or its public half to check by (default: lab.key beside the ledger)." env:"LAB_KEY" placeholder:"FILE"`
}

func (b bookFlags) path() (string, error) {
	if b.Ledger != "" {
		return b.Ledger, nil
	}
	return ledger.DefaultPath()
}

func (b bookFlags) key(path string) string {
	if b.Key != "" {
		return b.Key
	}
	return ledger.KeyPath(path)
}

// public is the key that signatures are checked by.
func (b bookFlags) public(path string) (*ledger.Public, error) {
	file := b.Key
	if file == "" {
		file = ledger.PublicPath(ledger.KeyPath(path))
	}
	return ledger.OpenPublic(file)
}

// ledgerVerb lists the decisions and checks their chain and signatures.
type ledgerVerb struct {
	bookFlags
	Last int `help:"Only the last N entries; 0 = all." default:"0"`
}

func (ledgerVerb) Help() string {
	return `Lists what was decided, oldest first, and checks that no entry was changed,
removed or inserted and that each was signed by the key. A broken chain or a
signature that does not hold is exit code 1. Entries of the first format are
said to be unsigned.

Example:

  lab ledger --last 10
  lab ledger --key colleague.pub
  lab ledger --json | jq '.records[] | select(.kind == "closing")'`
}

// ledgerRecord is one entry as the document shows it.
type ledgerRecord struct {
	ID          uint64          `json:"id"`
	Time        string          `json:"time"`
	Kind        string          `json:"kind"`
	Candidate   string          `json:"candidate"`
	Hook        string          `json:"hook"`
	Suites      []string        `json:"suites"`
	Verdict     string          `json:"verdict"`
	Reason      string          `json:"reason"`
	Signed      bool            `json:"signed"`
	SignatureOK bool            `json:"signature_ok"`
	PrevOK      bool            `json:"prev_ok"`
	Evidence    string          `json:"evidence,omitempty"`
	Hash        string          `json:"hash"`
	Body        json.RawMessage `json:"body"`
}

// book is a ledger that was read to its end or to where it breaks.
type book struct {
	path     string
	entries  []ledger.Entry
	records  []ledgerRecord
	chain    error // nil: the chain holds
	forged   error // the first signature that does not hold
	unsigned int
}

// open reads a whole ledger and checks all that can be checked of it.
func (b bookFlags) open() (*book, error) {
	path, err := b.path()
	if err != nil {
		return nil, infra("%w", err)
	}
	k := &book{path: path, records: []ledgerRecord{}}
	_, err = ledger.Read(path, func(entry ledger.Entry) error {
		k.entries = append(k.entries, entry)
		return nil
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, infra("there is no ledger at %s yet: lab up writes one", path)
	case errors.Is(err, ledger.ErrChain):
		k.chain = err
	case err != nil:
		return nil, infra("%w", err)
	}
	return k, k.check(b)
}

// check describes the entries and asks for the key if any is signed.
func (k *book) check(b bookFlags) error {
	var public *ledger.Public
	for i := range k.entries {
		entry := &k.entries[i]
		record := describeEntry(entry)
		if entry.Signed() && public == nil {
			var err error
			if public, err = b.public(k.path); err != nil {
				return infra("the ledger is signed and there is no key to check it by: %w; name one with --key", err)
			}
		}
		if !entry.Signed() {
			k.unsigned++
		} else if err := entry.CheckSignature(public); err != nil {
			if k.forged == nil {
				k.forged = err
			}
		} else {
			record.SignatureOK = true
		}
		k.records = append(k.records, record)
	}
	return nil
}

// trouble is what is wrong with the ledger, worst first.
func (k *book) trouble() error {
	if k.chain != nil {
		return k.chain
	}
	if k.forged != nil {
		return fmt.Errorf("%s: %w", k.path, k.forged)
	}
	return nil
}

func (v ledgerVerb) Run(e *env) error {
	k, err := v.open()
	if err != nil {
		return err
	}
	records := k.records
	if v.Last > 0 && len(records) > v.Last {
		records = records[len(records)-v.Last:]
	}
	for _, r := range records {
		e.printf("%6d  %s  %-9s %-12.12s %-13s %-9s %s\n", r.ID, r.Time, r.Kind, r.Candidate, r.Verdict, r.mark(), r.Reason)
	}
	document := map[string]any{"records": records, "ledger": k.path, "chain_ok": k.chain == nil,
		"signatures_ok": k.forged == nil && k.unsigned == 0, "unsigned": k.unsigned}
	if trouble := k.trouble(); trouble != nil {
		document["error"] = trouble.Error()
		if err := e.document(document); err != nil {
			return err
		}
		return fail("%w", trouble)
	}
	e.printf("%d entries, the chain holds (%s)\n", len(k.entries), k.path)
	if k.unsigned > 0 {
		e.printf("%d entries are unsigned: they were written in the first format\n", k.unsigned)
	}
	return e.document(document)
}

// mark is the signature for people.
func (r ledgerRecord) mark() string {
	switch {
	case !r.Signed:
		return "unsigned"
	case !r.SignatureOK:
		return "FORGED"
	}
	return "signed"
}

// describeEntry takes the common fields out of a body, whatever its kind.
func describeEntry(entry *ledger.Entry) ledgerRecord {
	var common struct {
		Candidate, Promoted, Hook, Verdict, Reason, Said, Guest, Stage, Code, Evidence string
	}
	var suites struct{ Suites []string }
	// A field of another shape is left out; the body is shown whole.
	_ = json.Unmarshal(entry.Body, &common)
	_ = json.Unmarshal(entry.Body, &suites)
	record := ledgerRecord{ID: entry.ID, Time: entry.Time.Format("2006-01-02T15:04:05Z"), Kind: entry.Kind, Candidate: common.Candidate,
		Hook: common.Hook, Suites: suites.Suites, Verdict: common.Verdict, Reason: common.Reason, Signed: entry.Signed(), PrevOK: true,
		Evidence: common.Evidence, Hash: entry.Hash, Body: entry.Body}
	if record.Suites == nil {
		record.Suites = []string{}
	}
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
