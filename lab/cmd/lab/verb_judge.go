package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/store"
	"github.com/kingly-os/go-kernel/optimizer/loop"
)

// judgeVerb makes stored decisions again.
type judgeVerb struct {
	bookFlags
	Record string `arg:"" help:"Number of the record, the beginning of a candidate's digest, or all."`
}

func (judgeVerb) Help() string {
	return `Takes a decision of the ledger, checks its chain and signature, loads the raw
samples it was made from, and decides again offline with the same code. Says the
same, or exits with 1 and the place of the difference.

Example:

  lab judge 12
  lab judge 8d1f03a2b4c5
  lab judge all --json`
}

// everyRecord asks for every decision of the ledger.
const everyRecord = "all"

// judgedRecord is a record with what its samples say today.
type judgedRecord struct {
	ledgerRecord
	Agrees  bool   `json:"agrees"`
	Samples int    `json:"samples"`
	Error   string `json:"error,omitempty"`
	Again   any    `json:"again,omitempty"` // the record as it would be written today
}

func (v judgeVerb) Run(e *env) error {
	k, err := v.open()
	if err != nil {
		return err
	}
	if k.chain != nil {
		return fail("%w", k.chain)
	}
	ids, err := k.find(v.Record)
	if err != nil {
		return err
	}
	from, err := store.OpenExisting(e.ctx, store.Path(k.path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return judgeError(err)
	}
	if from != nil {
		defer from.Close()
	}
	judged := []judgedRecord{}
	var worst error
	if from != nil && v.Record == everyRecord { // samples that no record rests on are held against their names as well
		if _, err := from.Check(e.ctx); err != nil {
			worst = judgeError(err)
		}
	}
	for _, id := range ids {
		one, err := k.judge(e, from, id)
		if err != nil {
			one.Error = err.Error()
			if worst == nil || exitCode(err) == exitFail && exitCode(worst) != exitFail {
				worst = err
			}
			e.printf("%6d  %-9s %-24.24s DISAGREES OR CANNOT BE JUDGED: %v\n", id, one.Kind, one.Candidate, err)
		} else {
			e.printf("%6d  %-9s %-24.24s agrees: %s, %s (%d samples)\n", id, one.Kind, one.Candidate, one.Verdict, one.Reason, one.Samples)
		}
		judged = append(judged, one)
	}
	if err := e.document(map[string]any{"records": judged, "ledger": k.path, "agrees": worst == nil}); err != nil {
		return err
	}
	return worst
}

// find turns the argument into numbers of records.
func (k *book) find(wanted string) ([]uint64, error) {
	var ids []uint64
	if id, err := strconv.ParseUint(wanted, 10, 64); err == nil && len(wanted) < 12 {
		if id >= uint64(len(k.entries)) {
			return nil, usage("there is no record %d: the ledger has %d", id, len(k.entries))
		}
		return []uint64{id}, nil
	}
	const digitsMin = 6
	for _, r := range k.records {
		decided := r.Kind == "decision" || r.Kind == "closing"
		byDigest := r.Kind == "decision" && len(wanted) >= digitsMin && strings.HasPrefix(r.Candidate, wanted)
		if byDigest || decided && wanted == everyRecord {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 && wanted == everyRecord {
		return nil, inconclusive("the ledger holds no decision")
	}
	if len(ids) == 0 {
		return nil, usage("no record %q: want a number, at least %d digits of a candidate's digest, or all", wanted, digitsMin)
	}
	return ids, nil
}

// judge decides one record again.
func (k *book) judge(e *env, from *store.Store, id uint64) (judgedRecord, error) {
	one := judgedRecord{ledgerRecord: k.records[id]}
	if one.Signed && !one.SignatureOK {
		return one, fail("%w: record %d of %s", ledger.ErrSignature, id, k.path)
	}
	if from == nil && one.Evidence != "" {
		return one, fail("record %d: its samples are gone: there is no %s", id, store.Path(k.path))
	}
	again, err := loop.Rejudge(e.ctx, from, k.entries, id)
	if err != nil {
		return one, judgeError(err)
	}
	if !one.Signed {
		return one, fail("record %d agrees with its samples but is unsigned: its signature was taken off", id)
	}
	one.Agrees, one.Samples, one.Again = true, len(again.Outcome.Result.Samples), again.Said
	return one, nil
}

// judgeError gives an error of the evidence its exit code: what was damaged or
// says otherwise fails, what never had samples decides nothing.
func judgeError(err error) error {
	switch {
	case errors.Is(err, loop.ErrNotJudged):
		return usage("%w", err)
	case errors.Is(err, loop.ErrNoEvidence):
		return inconclusive("%w", err)
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrFull), errors.Is(err, os.ErrPermission):
		return infra("%w", err)
	}
	return fail("%w", fmt.Errorf("judge: %w", err))
}
