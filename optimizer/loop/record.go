package loop

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/optimizer/objective"
)

// campaignBody opens a campaign in the ledger.
type campaignBody struct {
	Hook        string            `json:"hook"`
	Objective   string            `json:"objective"`
	SeedHash    string            `json:"seed_hash"`
	Packets     uint32            `json:"packets"`
	Fingerprint map[string]string `json:"fingerprint"`
}

// closingBody ends it: from here on the hash of the seed can be checked.
type closingBody struct {
	Verdict      stats.Verdict `json:"verdict"`
	Reason       string        `json:"reason"`
	Promoted     string        `json:"promoted,omitempty"`
	Seed         uint64        `json:"seed"`
	WorkloadSeed uint64        `json:"workload_seed"`
	Salt         string        `json:"salt"`
	SeedHash     string        `json:"seed_hash"`
	Hook         string        `json:"hook"`
	Suites       []string      `json:"suites"`
	Evidence     string        `json:"evidence,omitempty"`
	Findings     []string      `json:"findings,omitempty"`
	Controls     []ArmFigure   `json:"controls"`
}

// ArmFigure is one arm of a decision.
type ArmFigure struct {
	Name      string  `json:"name"`
	PerPacket float64 `json:"insn_per_op"`
	Samples   int     `json:"samples"`
	Insn      uint64  `json:"insn"`
	Offered   uint64  `json:"offered"`
	Needed    uint64  `json:"needed"`
	Delivered uint64  `json:"needed_delivered"`
}

// Decision is what was said about one candidate: a line of the ledger and of
// the --json documents.
type Decision struct {
	Candidate string        `json:"candidate"` // digest of the program's bytes
	Name      string        `json:"name"`
	Role      string        `json:"role"`
	Hook      string        `json:"hook"`
	Suites    []string      `json:"suites"` // what traffic it was measured on
	Stage     string        `json:"stage"`  // where it was decided
	Verdict   stats.Verdict `json:"verdict"`
	Code      string        `json:"code,omitempty"`
	Reason    string        `json:"reason"`
	Promoted  bool          `json:"promoted"`
	Origin    string        `json:"origin"`
	Program   string        `json:"program,omitempty"` // hex, wire format
	Text      string        `json:"text,omitempty"`
	Arms      []ArmFigure   `json:"arms"`
	Evidence  string        `json:"evidence,omitempty"` // digest of the samples it was decided from

	Judgement objective.Judgement `json:"-"`
}

// Decisions lists every cheat and candidate in the order of the proposals.
func (o *Outcome) Decisions() []Decision {
	var all []Decision
	for i := range o.Proposals {
		p := &o.Proposals[i]
		if p.Role != experiment.RoleCandidate && p.Role != experiment.RoleCheat {
			continue
		}
		d := Decision{Candidate: hex.EncodeToString(p.Digest[:]), Name: p.Name, Role: string(p.Role),
			Hook: o.Objective.Name, Suites: o.suites(), Evidence: o.Evidence, Stage: p.Stage.String(), Origin: p.Origin, Text: p.Text,
			Program: hex.EncodeToString(p.Program), Reason: p.Said, Verdict: stats.Fail, Arms: []ArmFigure{}}
		if p.Code != abi.OK {
			d.Code = p.Code.String()
		}
		if p.Accepted() {
			o.decided(&d)
		}
		all = append(all, d)
	}
	return all
}

// suites names the traffic of the campaign.
func (o *Outcome) suites() []string { return []string{o.Workload.Name} }

// decided fills in what experiment and promotion said.
func (o *Outcome) decided(d *Decision) {
	d.Stage, d.Verdict, d.Reason = "experiment", stats.Inconclusive, "not measured"
	for _, judged := range o.Decision.Judged {
		if judged.Measurement.Arm.Name != d.Name {
			continue
		}
		j := judged.Judgement
		d.Judgement, d.Verdict, d.Reason = j, j.Verdict, j.Reason
		if j.Code != abi.OK {
			d.Code = j.Code.String()
		}
		if j.Verdict == stats.Pass {
			d.Stage = "promote"
			if promoted := o.Decision.Promoted; promoted != nil && promoted.Measurement.Arm.Name == d.Name {
				d.Promoted = true
			} else if promoted != nil {
				d.Reason += "; not the cheapest"
			}
		}
		for _, role := range []experiment.Role{experiment.RoleFloor, experiment.RoleDefault} {
			if arm, ok := o.Result.Arm(role); ok {
				d.Arms = append(d.Arms, figure(arm))
			}
		}
		d.Arms = append(d.Arms, figure(judged.Measurement))
	}
}

func figure(m experiment.Measurement) ArmFigure {
	f := ArmFigure{Name: m.Arm.Name, Samples: m.Samples, Insn: m.Cost.Total, Offered: m.Cost.Count,
		Needed: m.Report.NeededOffered, Delivered: m.Report.NeededDelivered}
	if m.Cost.Count > 0 {
		f.PerPacket = m.Cost.PerOperation()
	}
	return f
}

// record writes every decision and closes the campaign, before anything is
// installed anywhere.
func (c *Campaign) record(out *Outcome, salt [32]byte) error {
	for _, decision := range out.Decisions() {
		if _, err := c.Ledger.Append("decision", decision); err != nil {
			return err
		}
	}
	_, err := c.Ledger.Append("closing", out.closing(salt))
	return err
}

// closing is the last word about a campaign.
func (o *Outcome) closing(salt [32]byte) closingBody {
	closing := closingBody{Verdict: o.Decision.Verdict, Reason: o.Decision.Reason, Seed: o.Seed,
		WorkloadSeed: o.Workload.Seed, Salt: hex.EncodeToString(salt[:]), SeedHash: o.Commitment,
		Hook: o.Objective.Name, Suites: o.suites(), Evidence: o.Evidence, Findings: o.Result.Findings}
	if o.Decision.Promoted != nil {
		digest := o.Decision.Promoted.Measurement.Digest
		closing.Promoted = hex.EncodeToString(digest[:])
	}
	for _, arm := range o.Result.Arms {
		if arm.Arm.Role != experiment.RoleCandidate && arm.Arm.Role != experiment.RoleCheat {
			closing.Controls = append(closing.Controls, figure(arm))
		}
	}
	return closing
}

// recordLive writes what the fleet made of the winner.
func (c *Campaign) recordLive(out *Outcome) error {
	digest := out.Decision.Promoted.Measurement.Digest
	for _, live := range out.Live {
		body := struct {
			Candidate string `json:"candidate"`
			Guest     string `json:"guest"`
			Stage     string `json:"stage"`
			Verdict   string `json:"verdict"`
			Code      string `json:"code,omitempty"`
			Said      string `json:"said"`
		}{hex.EncodeToString(digest[:]), live.Guest, live.Stage.String(), live.Verdict.String(), "", live.Said}
		if live.Code != abi.OK {
			body.Code = live.Code.String()
		}
		if _, err := c.Ledger.Append("live", body); err != nil {
			return err
		}
	}
	return nil
}

func describeResult(r *experiment.Result) string {
	if r == nil {
		return ""
	}
	if r.Verdict != stats.Pass {
		return r.Problem
	}
	floor, _ := r.Arm(experiment.RoleFloor)
	base, _ := r.Arm(experiment.RoleDefault)
	return fmt.Sprintf("%d arms, each twice and equal; default %.1f, floor %.1f instructions per packet; A/A equal, plant seen",
		len(r.Arms), base.Cost.PerOperation(), floor.Cost.PerOperation())
}

func describeLive(live []Live) string {
	var parts []string
	for _, one := range live {
		parts = append(parts, one.Guest+" "+one.Said)
	}
	return strings.Join(parts, "; ")
}
