// What a campaign leaves behind so that it can be judged again: its samples,
// and its proposals as they were submitted.

package loop

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/promote"
	"github.com/kingly-os/go-kernel/lab/store"
	"github.com/kingly-os/go-kernel/optimizer/objective"
)

// Keeper is the store as the campaign uses it.
type Keeper interface {
	Save(ctx context.Context, b store.Bundle) (evidence string, err error)
}

// caseFile is what a manifest holds beside plan and samples.
type caseFile struct {
	Seed      uint64         `json:"seed"`
	SeedHash  string         `json:"seed_hash"`
	Proposals []caseProposal `json:"proposals"`
}

// caseProposal is a proposal before any stage saw it.
type caseProposal struct {
	Name   string          `json:"name"`
	Role   experiment.Role `json:"role"`
	Origin string          `json:"origin"`
	Text   string          `json:"text,omitempty"`
	Object string          `json:"object,omitempty"` // digest of the ELF file
}

// keep stores the samples before anything is decided from them in writing.
func (c *Campaign) keep(ctx context.Context, out *Outcome) error {
	if c.Evidence == nil {
		return nil
	}
	file := caseFile{Seed: out.Seed, SeedHash: out.Commitment}
	bundle := store.Bundle{Purpose: store.PurposeExperiment, Plan: c.plan(out), Samples: out.Result.Samples, Fingerprint: c.figures(out.Workload)}
	for _, p := range out.Proposals {
		kept := caseProposal{Name: p.Name, Role: p.Role, Origin: p.Origin, Text: p.Text}
		if p.Object != nil {
			kept.Text, kept.Object = "", store.Digest(p.Object)
			bundle.Objects = append(bundle.Objects, p.Object)
		}
		file.Proposals = append(file.Proposals, kept)
	}
	var err error
	if bundle.Case, err = json.Marshal(file); err != nil {
		return err
	}
	out.Evidence, err = c.Evidence.Save(ctx, bundle)
	return err
}

// figures is the fingerprint of samples taken on a workload.
func (c *Campaign) figures(w experiment.Workload) store.Fingerprint {
	f := c.Figures
	f.Seed = w.Seed
	return f
}

// Errors of Rejudge that callers tell apart.
var (
	ErrNotJudged  = errors.New("no decision made from samples")
	ErrNoEvidence = errors.New("names no evidence: it was written before samples were kept, so it cannot be judged again")
	ErrDisagrees  = errors.New("judged again, the samples say otherwise")
)

// Rejudged is what the samples say when they are judged again.
type Rejudged struct {
	Evidence string
	Outcome  *Outcome
	Said     any // Decision or closing, as it would be written today
}

// Rejudge makes one decision of a ledger again, from its stored samples alone,
// with the code that made it, and holds the answer against the record byte by
// byte. book is the ledger from its beginning at least up to the record.
func Rejudge(ctx context.Context, from *store.Store, book []ledger.Entry, id uint64) (Rejudged, error) {
	entry := book[id]
	var named struct{ Name, Candidate, Evidence, Salt string }
	if entry.Kind != "decision" && entry.Kind != "closing" {
		return Rejudged{}, fmt.Errorf("record %d is of kind %s: %w; decision and closing are", id, entry.Kind, ErrNotJudged)
	}
	if err := json.Unmarshal(entry.Body, &named); err != nil {
		return Rejudged{}, fmt.Errorf("record %d: %w", id, err)
	}
	if named.Evidence == "" {
		return Rejudged{}, fmt.Errorf("record %d %w", id, ErrNoEvidence)
	}
	again := Rejudged{Evidence: named.Evidence}
	var err error
	if again.Outcome, err = Reopen(ctx, from, named.Evidence); err != nil {
		return again, fmt.Errorf("record %d: %w", id, err)
	}
	if err := promised(book[:id], again.Outcome); err != nil {
		return again, fmt.Errorf("record %d: %w", id, err)
	}
	if entry.Kind == "closing" {
		again.Said, err = again.Outcome.closingFor(named.Salt)
	} else {
		again.Said, err = again.Outcome.decisionFor(named.Name, named.Candidate)
	}
	if err == nil {
		err = same(entry.Body, again.Said)
	}
	if err != nil {
		return again, fmt.Errorf("record %d: %w", id, err)
	}
	return again, nil
}

// Reopen judges a stored campaign again.
func Reopen(ctx context.Context, from *store.Store, evidence string) (*Outcome, error) {
	bundle, err := from.Load(ctx, evidence)
	if err != nil {
		return nil, err
	}
	var file caseFile
	if err := json.Unmarshal(bundle.Case, &file); err != nil {
		return nil, fmt.Errorf("%w: the case: %v", store.ErrCorrupt, err)
	}
	out := &Outcome{Seed: file.Seed, Commitment: file.SeedHash, Workload: bundle.Plan.Workload, Evidence: evidence}
	if out.Objective, err = objective.For(bundle.Plan.Hook); err != nil {
		return nil, err
	}
	for _, kept := range file.Proposals {
		p := Proposal{Name: kept.Name, Role: kept.Role, Origin: kept.Origin, Text: kept.Text}
		if kept.Object != "" {
			if p.Object, err = from.Get(ctx, kept.Object); err != nil {
				return nil, fmt.Errorf("the object of %s: %w", p.Name, err)
			}
		}
		out.Proposals = append(out.Proposals, p)
	}
	if _, err := admit(out.Proposals); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDisagrees, err)
	}
	if err := sameArms(out, bundle.Plan); err != nil {
		return nil, err
	}
	if err := sameJobs(bundle); err != nil {
		return nil, err
	}
	if out.Result, err = experiment.Conclude(bundle.Plan, bundle.Samples); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDisagrees, err)
	}
	out.Decision = promote.Decide(out.Objective, out.Result)
	return out, nil
}

// sameArms: the host's stages accept today what was measured then.
func sameArms(out *Outcome, measured experiment.Plan) error {
	today := (&Campaign{Hook: measured.Hook}).plan(out)
	if len(today.Arms) != len(measured.Arms) {
		return fmt.Errorf("%w: the host's stages accept %d arms, %d were measured", ErrDisagrees, len(today.Arms), len(measured.Arms))
	}
	for i, arm := range today.Arms {
		then := measured.Arms[i]
		if arm.Name != then.Name || arm.Role != then.Role || !bytes.Equal(arm.Program, then.Program) {
			return fmt.Errorf("%w: arm %d is %s %s (%s), %s %s (%s) was measured", ErrDisagrees, i, arm.Role, arm.Name,
				experiment.Short(arm.Digest()), then.Role, then.Name, experiment.Short(then.Digest()))
		}
	}
	return nil
}

// sameJobs: each guest was given the job of its arm and no other.
func sameJobs(b store.Bundle) error {
	for _, sample := range b.Samples {
		if len(sample.Job) == 0 && sample.Failure != "" {
			continue
		}
		if sample.Arm < 0 || sample.Arm >= len(b.Plan.Arms) {
			return fmt.Errorf("%w: a sample of arm %d", store.ErrCorrupt, sample.Arm)
		}
		arm := b.Plan.Arms[sample.Arm]
		job, err := experiment.BuildJob(b.Plan.Workload, arm, sample.Nonce)
		if err != nil || !bytes.Equal(job, sample.Job) {
			return fmt.Errorf("%w: the guest of arm %s, repeat %d had another job than its arm's (%v)", ErrDisagrees, arm.Name, sample.Repeat+1, err)
		}
	}
	return nil
}

// promised: the hash of the workload's seed stood in the ledger beforehand.
func promised(earlier []ledger.Entry, out *Outcome) error {
	for _, entry := range earlier {
		var opening campaignBody
		if entry.Kind == "campaign" && json.Unmarshal(entry.Body, &opening) == nil && opening.SeedHash == out.Commitment {
			return nil
		}
	}
	return fmt.Errorf("%w: no earlier record publishes the hash %.16s... of its seed", ErrDisagrees, out.Commitment)
}

// decisionFor is what is said today about one candidate.
func (o *Outcome) decisionFor(name, candidate string) (Decision, error) {
	for _, d := range o.Decisions() {
		if d.Name == name && d.Candidate == candidate {
			return d, nil
		}
	}
	return Decision{}, fmt.Errorf("%w: its evidence holds no candidate %s with the digest %.16s...", ErrDisagrees, name, candidate)
}

// closingFor is the last word of today; the salt stands only in the record.
func (o *Outcome) closingFor(salt string) (closingBody, error) {
	raw, err := hex.DecodeString(salt)
	if err != nil || len(raw) != 32 {
		return closingBody{}, fmt.Errorf("%w: its salt is %q", ErrDisagrees, salt)
	}
	if experiment.Commitment(o.Workload.Seed, [32]byte(raw)) != o.Commitment {
		return closingBody{}, fmt.Errorf("%w: seed and salt do not give the hash that was published", ErrDisagrees)
	}
	return o.closing([32]byte(raw)), nil
}

// same compares a stored body with what would be written today, and names the
// first field that differs.
func same(stored json.RawMessage, today any) error {
	text, err := json.Marshal(today)
	if err != nil || bytes.Equal(text, stored) {
		return err
	}
	var then, now map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(stored, &then), json.Unmarshal(text, &now)); err != nil {
		return fmt.Errorf("%w: %v", ErrDisagrees, err)
	}
	for _, field := range []string{"verdict", "reason", "promoted", "code", "stage", "candidate", "program", "arms", "controls"} {
		if !bytes.Equal(then[field], now[field]) {
			return fmt.Errorf("%w: %s is %.200s in the record and %.200s from the samples", ErrDisagrees, field, then[field], now[field])
		}
	}
	for _, field := range slices.Sorted(maps.Keys(then)) {
		if !bytes.Equal(then[field], now[field]) {
			return fmt.Errorf("%w: %s is %.200s in the record and %.200s from the samples", ErrDisagrees, field, then[field], now[field])
		}
	}
	return fmt.Errorf("%w: the record lacks what is said today: %.300s", ErrDisagrees, text)
}
