// Package objective says, for each hook, what "better" means: always a cost per
// useful outcome, never a cost alone. An always-drop filter is the cheapest
// program there is.
//
// Invariant: a candidate is judged against the baseline and the floor of the
// same experiment; figures of different experiments never meet here.
package objective

import (
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// Objective is one hook's meaning of better.
type Objective struct {
	Hook   abi.HookID
	Name   string
	Unit   string
	Margin float64 // share of the baseline's cost a winner must save
	judge  func(o Objective, candidate, baseline, floor abi.Report) Judgement
}

// Judgement is a verdict with its figures and its reason.
type Judgement struct {
	Verdict   stats.Verdict `json:"verdict"`
	Code      abi.Code      `json:"code"`
	Reason    string        `json:"reason"`
	Cost      stats.Rate    `json:"cost"`
	Unit      string        `json:"unit"`
	Gain      float64       `json:"gain"`      // share of the baseline's cost saved
	Recovered float64       `json:"recovered"` // share of what lies between baseline and floor
}

// netRXMargin: exact figures would let a single instruction win; a program
// that saves less than this is not worth its risk.
const netRXMargin = 0.01

var all = map[abi.HookID]Objective{
	abi.HookNetRX: {Hook: abi.HookNetRX, Name: "net.rx", Unit: "instructions per offered packet",
		Margin: netRXMargin, judge: judgeNetRX},
}

// For returns the objective of a hook.
func For(hook abi.HookID) (Objective, error) {
	o, ok := all[hook]
	if !ok {
		return Objective{}, fmt.Errorf("no objective is stated for hook %d: nothing can win there", hook)
	}
	return o, nil
}

// Cost of a report under this objective.
func (o Objective) Cost(r abi.Report) stats.Rate {
	return stats.Rate{Total: r.InsnTotal, Count: r.Offered}
}

// Judge decides about a candidate from reports of one experiment.
func (o Objective) Judge(candidate, baseline, floor abi.Report) Judgement {
	j := o.judge(o, candidate, baseline, floor)
	j.Unit = o.Unit
	j.Cost = o.Cost(candidate)
	return j
}

// judgeNetRX: instructions per offered packet, subject to every packet of a
// needed flow being delivered unchanged. Loss comes first: a program that loses
// what is needed has no cost worth naming.
func judgeNetRX(o Objective, candidate, baseline, floor abi.Report) Judgement {
	refuse := func(verdict stats.Verdict, code abi.Code, format string, a ...any) Judgement {
		return Judgement{Verdict: verdict, Code: code, Reason: fmt.Sprintf(format, a...)}
	}
	for _, other := range []abi.Report{baseline, floor} {
		if candidate.Offered != other.Offered || candidate.NeededOffered != other.NeededOffered {
			return refuse(stats.Infra, abi.ErrNotDefault, "the arms saw different traffic: %d packets, %d needed, against %d and %d",
				candidate.Offered, candidate.NeededOffered, other.Offered, other.NeededOffered)
		}
	}
	if candidate.Offered == 0 || candidate.NeededOffered == 0 {
		return refuse(stats.Infra, abi.ErrNotFound, "no needed packet was offered: nothing can be lost, so nothing is proved")
	}
	lost := candidate.NeededOffered - min(candidate.NeededDelivered+candidate.NeededChanged, candidate.NeededOffered)
	lostByDefault := baseline.NeededOffered - min(baseline.NeededDelivered+baseline.NeededChanged, baseline.NeededOffered)
	switch {
	case lost > lostByDefault:
		return refuse(stats.Fail, abi.ErrLosesNeeded, "loses needed packets: %d of %d (the default loses %d)",
			lost, candidate.NeededOffered, lostByDefault)
	case candidate.NeededChanged > baseline.NeededChanged:
		return refuse(stats.Fail, abi.ErrMutates, "changes needed packets: %d (the default changes %d)",
			candidate.NeededChanged, baseline.NeededChanged)
	}
	return judgeCost(o, candidate, baseline, floor)
}

// judgeCost compares a candidate that loses nothing.
func judgeCost(o Objective, candidate, baseline, floor abi.Report) Judgement {
	cost, base, bottom := o.Cost(candidate), o.Cost(baseline), o.Cost(floor)
	toFloor, err := stats.Compare(cost, bottom)
	if err != nil {
		return Judgement{Verdict: stats.Infra, Reason: err.Error()}
	}
	j := Judgement{Gain: 1 - cost.PerOperation()/base.PerOperation()}
	if room := base.PerOperation() - bottom.PerOperation(); room > 0 {
		j.Recovered = (base.PerOperation() - cost.PerOperation()) / room
	}
	toBase, err := stats.Compare(cost, base)
	switch {
	case err != nil:
		j.Verdict, j.Reason = stats.Infra, err.Error()
	case toFloor < 0:
		j.Verdict = stats.Infra
		j.Reason = fmt.Sprintf("beats the floor (%.1f under %.1f, hook bypassed and the answer known): the harness is wrong, not the program fast",
			cost.PerOperation(), bottom.PerOperation())
	case toBase >= 0:
		j.Verdict, j.Code = stats.Fail, abi.ErrWorse
		j.Reason = fmt.Sprintf("costs %+.2f %% against the default", 100*(cost.PerOperation()/base.PerOperation()-1))
	case j.Gain < o.Margin:
		j.Verdict, j.Code = stats.Fail, abi.ErrNoGain
		j.Reason = fmt.Sprintf("saves %.2f %%, under the margin of %.0f %%", 100*j.Gain, 100*o.Margin)
	default:
		j.Verdict = stats.Pass
		j.Reason = fmt.Sprintf("saves %.2f %%, loses nothing", 100*j.Gain)
	}
	return j
}
