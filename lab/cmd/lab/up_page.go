package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/lab/web"
	"github.com/kingly-os/go-kernel/optimizer/loop"
)

// Steps of the verb's own, before the campaign's.
const (
	stepBoot    = "Boot the fleet"
	stepMeasure = "Measure the boot"
	stepAlone   = "Let a kernel decide alone"
)

// What the page shows of a run of `lab up`: each function turns one kind of
// news into a change of the page's state.

func (u *up) pageBegin() {
	u.page.Update(func(s *web.State) {
		s.Campaign = web.Campaign{Title: "net.rx", Seed: u.Seed, Headline: "Booting the fleet"}
		for _, name := range []string{stepBoot, stepMeasure, stepAlone} {
			s.Steps = append(s.Steps, web.Step{Name: name, State: web.StepWaiting})
		}
		for _, name := range loop.Steps {
			s.Steps = append(s.Steps, web.Step{Name: string(name), State: web.StepWaiting})
		}
		facts := u.fingerprint()
		facts["ledger"] = u.path
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			s.Facts = append(s.Facts, web.Fact{Name: name, Value: facts[name]})
		}
	})
}

func (u *up) pageStep(name string, state web.StepState, detail string, took time.Duration) {
	u.page.Update(func(s *web.State) {
		for i := range s.Steps {
			if s.Steps[i].Name == name {
				s.Steps[i].State, s.Steps[i].Took = state, took
				if detail != "" {
					s.Steps[i].Detail = detail
				}
			}
		}
		if state == web.StepRunning {
			s.Campaign.Headline = sentences[name]
		}
	})
}

// sentences are the headline while a step runs.
var sentences = map[string]string{
	stepBoot: "Booting the fleet", stepMeasure: "Counting what a boot costs", stepAlone: "A kernel decides alone",
	string(loop.StepPropose): "Searching for a better program", string(loop.StepVerify): "Proving what each candidate may do",
	string(loop.StepExperiment): "Measuring each candidate in fresh guests", string(loop.StepPromote): "One promoted, or none",
	string(loop.StepInstall): "Handing the winner to the running kernels",
}

// pageGuest is called as each standing guest becomes ready or fails.
func (u *up) pageGuest(machine fleet.Instance, err error) {
	row := web.Guest{State: string(fleet.StateFailed)}
	if machine != nil {
		row = web.Guest{Name: machine.Name(), Target: machine.Target(), State: string(machine.State()), BootHost: machine.BootHost(), Program: "default"}
		if fleet.IsLinux(machine.Target()) {
			row.Program = ""
			hello := machine.Hello()
			row.Note = guest.Release(hello)
		}
	}
	if err != nil {
		row.Note, _, _ = strings.Cut(err.Error(), "\n")
	}
	u.page.Update(func(s *web.State) {
		s.Fleet = append(s.Fleet, row)
		slices.SortFunc(s.Fleet, func(a, b web.Guest) int { return strings.Compare(a.Name, b.Name) })
	})
}

// pageBoots puts the measured boots into the fleet's table.
func (u *up) pageBoots() {
	u.page.Update(func(s *web.State) {
		for i := range s.Fleet {
			if hello, ok := u.bootOf(s.Fleet[i].Target, 1); ok {
				s.Fleet[i].BootInsn = hello.BootInsnCPU0
			}
		}
	})
}

func (u *up) pageRecord(name string, r abi.Record) {
	u.page.Update(func(s *web.State) {
		s.Records = append(s.Records, web.Describe(name, r))
		if !decides(r) {
			return
		}
		for i := range s.Fleet {
			if s.Fleet[i].Name != name {
				continue
			}
			s.Fleet[i].Note = fmt.Sprintf("%v %v", r.Stage, r.Verdict)
			switch {
			case r.Stage == abi.StageDeploy && r.Verdict == abi.VerdictRolledBack && r.Candidate == (abi.Digest{}):
				s.Fleet[i].Program = "default"
			case r.Stage == abi.StageDeploy && r.Candidate != (abi.Digest{}):
				s.Fleet[i].Program = hex.EncodeToString(r.Candidate[:6])
			}
		}
	})
}

func (u *up) pageProgram(name string, p guest.Program) {
	u.page.Update(func(s *web.State) {
		s.Programs = append(s.Programs, web.Program{Guest: name, Digest: hex.EncodeToString(p.Digest[:6]), Text: p.Text})
	})
}

// listen reads what the standing guests say.
func (u *up) listen() {
	for event := range u.fleet.Events() {
		name := event.Guest.Name()
		for _, record := range event.Records() {
			u.crew.Hear(name, record)
			u.pageRecord(name, record)
			if decides(record) {
				if _, err := u.ledger.Append("kernel", kernelDecision(name, record)); err != nil {
					u.logf("ledger: %v", err)
				}
			}
		}
		if program, ok := guest.ReadProgram(event.Message); ok {
			u.pageProgram(name, program)
		}
		if event.Ended {
			u.page.Update(func(s *web.State) {
				for i := range s.Fleet {
					if s.Fleet[i].Name == name {
						s.Fleet[i].State = string(event.Guest.State())
						if event.Err != nil {
							s.Fleet[i].Note, _, _ = strings.Cut(event.Err.Error(), "\n")
						}
					}
				}
			})
		}
	}
}

// progress follows the campaign.
func (u *up) progress(p loop.Progress) {
	switch {
	case p.Guest != nil:
		u.page.Update(func(s *web.State) {
			s.Campaign.Done, s.Campaign.Total = p.Guest.Done, p.Guest.Total
			s.Campaign.Headline = fmt.Sprintf("Measuring %d arms, each in two fresh guests", p.Guest.Total/2)
		})
	case !p.Ended:
		u.pageStep(string(p.Step), web.StepRunning, "", 0)
		u.pageCandidates(p.Campaign)
	case p.Err != nil:
		u.pageStep(string(p.Step), web.StepFailed, p.Err.Error(), p.Took)
	default:
		u.pageStep(string(p.Step), web.StepDone, p.Detail, p.Took)
		u.logf("%-26s %6.1f s  %s", p.Step, p.Took.Seconds(), p.Detail)
		u.pageCandidates(p.Campaign)
	}
}

// pageCandidates rebuilds the candidates and the plot from what is known.
func (u *up) pageCandidates(out *loop.Outcome) {
	u.page.Update(func(s *web.State) {
		s.Campaign.Commitment = out.Commitment
		s.Candidates = s.Candidates[:0]
		for _, d := range out.Decisions() {
			s.Candidates = append(s.Candidates, candidateRow(out, d))
		}
		s.Plot = plotOf(out)
	})
}

// candidateRow is a candidate's fate stage by stage.
func candidateRow(out *loop.Outcome, d loop.Decision) web.Candidate {
	row := web.Candidate{Name: d.Name, Digest: d.Candidate[:12], Origin: d.Origin, Text: d.Text,
		Planted: d.Role == string(experiment.RoleCheat), Won: d.Promoted, Reason: d.Reason}
	reached := []string{"propose", "analyze", "verify", "experiment", "promote"}
	at := slices.Index(reached, d.Stage)
	for i, stage := range reached {
		state := web.MarkPending
		switch {
		case i < at || d.Promoted:
			state = web.MarkPassed
		case i == at && (d.Stage == "experiment" || d.Stage == "promote") && out.Result == nil:
		case i == at && d.Verdict != stats.Pass:
			state = web.MarkRefused
		case i == at && d.Stage == "promote": // passed the experiment, another was cheaper
			state = web.MarkRefused
		case i > at && d.Verdict != stats.Pass:
			state = web.MarkSkipped
		}
		row.Marks = append(row.Marks, web.Mark{Stage: stage, State: state})
	}
	if d.Promoted {
		for _, live := range out.Live {
			mark := web.Mark{Stage: live.Guest, State: web.MarkRefused, Detail: live.Said}
			if live.Verdict == abi.VerdictKept {
				mark.State = web.MarkPassed
			}
			row.Marks = append(row.Marks, mark)
		}
	}
	return row
}

// plotOf shows every arm with its figure, or that it waits for one.
func plotOf(out *loop.Outcome) web.Plot {
	plot := web.Plot{Unit: out.Objective.Unit}
	if out.Result == nil {
		return plot
	}
	said := map[string]loop.Decision{}
	for _, d := range out.Decisions() {
		said[d.Name] = d
	}
	for _, m := range out.Result.Arms {
		arm := web.Arm{Name: m.Arm.Name, Role: string(m.Arm.Role), Samples: m.Samples, Verdict: string(m.Verdict), Reason: m.Problem}
		if m.Cost.Count > 0 {
			arm.Value = m.Cost.PerOperation()
			arm.Low = stats.Rate{Total: slices.Min(m.Totals), Count: m.Cost.Count}.PerOperation()
			arm.High = stats.Rate{Total: slices.Max(m.Totals), Count: m.Cost.Count}.PerOperation()
		}
		if d, ok := said[m.Arm.Name]; ok {
			arm.Verdict, arm.Reason = string(d.Verdict), d.Reason
			if d.Promoted {
				arm.Role += " winner"
			}
		}
		switch m.Arm.Role {
		case experiment.RoleFloor:
			plot.Floor = arm.Value
		case experiment.RoleDefault:
			plot.Baseline = arm.Value
		}
		plot.Arms = append(plot.Arms, arm)
	}
	return plot
}

// pageOutcome writes the last word.
func (u *up) pageOutcome() {
	u.pageCandidates(u.outcome)
	u.page.Update(func(s *web.State) {
		s.Campaign.Verdict, s.Campaign.Headline = string(u.outcome.Decision.Verdict), u.headline()
	})
}

// headline is the decision in one sentence.
func (u *up) headline() string {
	d := u.outcome.Decision
	if d.Promoted == nil {
		if d.Reason == "" {
			return "The campaign ended without a decision"
		}
		return "Nothing promoted: " + d.Reason
	}
	j := d.Promoted.Judgement
	return fmt.Sprintf("Promoted %s: %.1f instructions per packet, %.1f %% below the default",
		d.Promoted.Measurement.Arm.Name, j.Cost.PerOperation(), 100*j.Gain)
}
