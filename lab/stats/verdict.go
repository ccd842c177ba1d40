package stats

import "fmt"

// Verdict is the closed set of what the lab may say about anything.
type Verdict string

const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive" // a control did not behave: nothing may be concluded
	Infra        Verdict = "infra"        // the guest or the harness broke, not the subject
)

// ExitCode is the process exit code that goes with a verdict.
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return 0
	case Fail:
		return 1
	case Inconclusive:
		return 3
	}
	return 4
}

// Budget is how much more than the baseline an operation may cost.
type Budget struct {
	Limit float64 `json:"limit"` // at or below: inside
	Hard  float64 `json:"hard"`  // above: outside
}

// OverheadBudget is the promise against Linux: 3x, never over 5x.
var OverheadBudget = Budget{Limit: 3, Hard: 5}

// BudgetVerdict is a type of its own so that it cannot be taken for a Verdict.
type BudgetVerdict string

const (
	Inside    BudgetVerdict = "inside"
	Outside   BudgetVerdict = "outside"
	Undecided BudgetVerdict = "undecided" // between the limits, or nothing to compare with
)

// Judge places an exact ratio. Between limit and hard limit the promise is
// neither kept nor broken, and the answer says so.
func (b Budget) Judge(ours, baseline Rate) (BudgetVerdict, float64) {
	ratio, err := Ratio(ours, baseline)
	switch {
	case err != nil:
		return Undecided, 0
	case ratio <= b.Limit:
		return Inside, ratio
	case ratio > b.Hard:
		return Outside, ratio
	}
	return Undecided, ratio
}

func (b Budget) String() string { return fmt.Sprintf("%gx, hard %gx", b.Limit, b.Hard) }

// Repeat says whether figures measured twice were the same both times.
type Repeat struct {
	Equal     bool     `json:"equal"`
	Differing []string `json:"differing"`
}

// Add compares one figure of both runs.
func (r *Repeat) Add(name string, first, second Rate) {
	if first != second {
		r.Differing = append(r.Differing, fmt.Sprintf("%s: %d/%d then %d/%d",
			name, first.Total, first.Count, second.Total, second.Count))
	}
	r.Equal = len(r.Differing) == 0
}
