package stats

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Rate is an exact cost per operation: Total units over Count operations.
type Rate struct {
	Total uint64 `json:"total"`
	Count uint64 `json:"count"`
}

// ErrNoSamples is what every function here answers to an empty input: zero
// operations prove nothing and must never read as a pass.
var ErrNoSamples = errors.New("no samples: zero operations were measured")

// PerOperation is the rate for people; comparisons use Compare.
func (r Rate) PerOperation() float64 {
	if r.Count == 0 {
		return math.NaN()
	}
	return float64(r.Total) / float64(r.Count)
}

func (r Rate) String() string {
	return fmt.Sprintf("%.3f (%d/%d)", r.PerOperation(), r.Total, r.Count)
}

// Compare orders two rates exactly: -1 when a is cheaper, 0 when equal, +1.
// The cross products need 128 bits.
func Compare(a, b Rate) (int, error) {
	if a.Count == 0 || b.Count == 0 {
		return 0, ErrNoSamples
	}
	aHigh, aLow := bits.Mul64(a.Total, b.Count)
	bHigh, bLow := bits.Mul64(b.Total, a.Count)
	switch {
	case aHigh != bHigh:
		return sign(aHigh, bHigh), nil
	default:
		return sign(aLow, bLow), nil
	}
}

func sign(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Ratio is a/b per operation.
func Ratio(a, b Rate) (float64, error) {
	if a.Count == 0 || b.Count == 0 {
		return 0, ErrNoSamples
	}
	if b.Total == 0 {
		return 0, fmt.Errorf("the baseline costs nothing: %v", b)
	}
	return a.PerOperation() / b.PerOperation(), nil
}

// Subtract takes the cost of the same operations done for nothing (an empty
// program, a bypassed hook) away. A negative remainder is a harness bug.
func Subtract(whole, empty Rate) (Rate, error) {
	switch {
	case whole.Count == 0 || empty.Count == 0:
		return Rate{}, ErrNoSamples
	case whole.Count != empty.Count:
		return Rate{}, fmt.Errorf("cannot subtract %d operations from %d", empty.Count, whole.Count)
	case empty.Total > whole.Total:
		return Rate{}, fmt.Errorf("the empty run costs more than the whole: %d > %d", empty.Total, whole.Total)
	}
	return Rate{Total: whole.Total - empty.Total, Count: whole.Count}, nil
}

// GeometricMean of positive ratios.
func GeometricMean(ratios []float64) (float64, error) {
	if len(ratios) == 0 {
		return 0, ErrNoSamples
	}
	sum := 0.0
	for i, ratio := range ratios {
		if !(ratio > 0) || math.IsInf(ratio, 0) {
			return 0, fmt.Errorf("ratio %d is %v: a geometric mean needs positive numbers", i, ratio)
		}
		sum += math.Log(ratio)
	}
	return math.Exp(sum / float64(len(ratios))), nil
}
