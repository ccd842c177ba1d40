// Package promote makes the decision of an experiment: one candidate or none,
// each with its reason.
//
// Invariant: nothing is promoted from an experiment whose controls failed, in
// which a planted cheat was not refused for losing needed packets, or in which
// any arm beat the floor; such an experiment decides nothing.
package promote

import (
	"bytes"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/optimizer/objective"
)

// Judged is one arm with a program and what was said about it.
type Judged struct {
	Measurement experiment.Measurement
	Judgement   objective.Judgement
}

// Decision ends an experiment.
type Decision struct {
	Verdict  stats.Verdict // Pass: one promoted; Fail: none was worth it; Inconclusive, Infra: nothing decided
	Reason   string
	Promoted *Judged // nil unless Verdict is Pass
	Judged   []Judged
}

// Decide judges every cheat and candidate of a result.
func Decide(o objective.Objective, result *experiment.Result) Decision {
	base, _ := result.Arm(experiment.RoleDefault)
	floor, _ := result.Arm(experiment.RoleFloor)
	d := Decision{Verdict: result.Verdict, Reason: result.Problem}
	believed := result.Verdict == stats.Pass
	for _, m := range result.Arms {
		if m.Arm.Role != experiment.RoleCheat && m.Arm.Role != experiment.RoleCandidate {
			continue
		}
		d.Judged = append(d.Judged, Judged{m, judge(o, m, base.Report, floor.Report, believed, result.Problem)})
	}
	if !believed {
		return d
	}
	if verdict, reason := harness(d.Judged); verdict != stats.Pass {
		d.Verdict, d.Reason = verdict, reason
		return d
	}
	return choose(d)
}

func judge(o objective.Objective, m experiment.Measurement, base, floor abi.Report, believed bool, problem string) objective.Judgement {
	switch {
	case m.Verdict != stats.Pass:
		return objective.Judgement{Verdict: m.Verdict, Reason: m.Problem, Unit: o.Unit}
	case !believed:
		return objective.Judgement{Verdict: stats.Inconclusive, Reason: "not judged: " + problem, Cost: m.Cost, Unit: o.Unit}
	}
	return o.Judge(m.Report, base, floor)
}

// harness asks whether the judge itself can be trusted: cheats are known to
// lose needed packets, and nothing real beats the floor.
func harness(judged []Judged) (stats.Verdict, string) {
	for _, one := range judged {
		name := one.Measurement.Arm.Name
		if one.Measurement.Arm.Role == experiment.RoleCheat && one.Judgement.Code != abi.ErrLosesNeeded {
			return stats.Inconclusive, fmt.Sprintf("the planted %s was not refused for losing needed packets (%s: %s)",
				name, one.Judgement.Verdict, one.Judgement.Reason)
		}
		if one.Measurement.Verdict == stats.Pass && one.Judgement.Verdict == stats.Infra {
			return stats.Inconclusive, fmt.Sprintf("%s %s", name, one.Judgement.Reason)
		}
	}
	return stats.Pass, ""
}

// choose takes the cheapest candidate that passed. Ties go to the shorter
// program, then to the lower digest, so that a seed always decides the same.
func choose(d Decision) Decision {
	var best *Judged
	candidates := 0
	for i := range d.Judged {
		one := &d.Judged[i]
		if one.Measurement.Arm.Role != experiment.RoleCandidate {
			continue
		}
		candidates++
		if one.Judgement.Verdict == stats.Pass && (best == nil || better(one, best)) {
			best = one
		}
	}
	switch {
	case candidates == 0:
		d.Verdict, d.Reason = stats.Inconclusive, "no candidate reached the fleet"
	case best == nil:
		d.Verdict, d.Reason = stats.Fail, fmt.Sprintf("none of %d candidates beats the default without loss", candidates)
	default:
		d.Verdict, d.Promoted = stats.Pass, best
		d.Reason = best.Judgement.Reason
	}
	return d
}

func better(a, b *Judged) bool {
	if order, err := stats.Compare(a.Judgement.Cost, b.Judgement.Cost); err == nil && order != 0 {
		return order < 0
	}
	if len(a.Measurement.Arm.Program) != len(b.Measurement.Arm.Program) {
		return len(a.Measurement.Arm.Program) < len(b.Measurement.Arm.Program)
	}
	return bytes.Compare(a.Measurement.Digest[:], b.Measurement.Digest[:]) < 0
}
