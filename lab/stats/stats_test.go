package stats

import (
	"errors"
	"math"
	"math/big"
	"math/rand"
	"testing"
)

// TestCompareIsExact: the slow twin is math/big.
func TestCompareIsExact(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewSource(seed))
	for i := 0; i < 20000; i++ {
		a := Rate{random.Uint64() >> (random.Intn(64)), 1 + random.Uint64()>>(random.Intn(63)+1)}
		b := Rate{random.Uint64() >> (random.Intn(64)), 1 + random.Uint64()>>(random.Intn(63)+1)}
		if i%3 == 0 { // equal as fractions, unlike as pairs
			a.Total, a.Count = a.Total>>34, a.Count>>34+1
			b = Rate{a.Total * 3, a.Count * 3}
		}
		got, err := Compare(a, b)
		if err != nil {
			t.Fatal(err)
		}
		left := new(big.Int).Mul(new(big.Int).SetUint64(a.Total), new(big.Int).SetUint64(b.Count))
		right := new(big.Int).Mul(new(big.Int).SetUint64(b.Total), new(big.Int).SetUint64(a.Count))
		if want := left.Cmp(right); got != want {
			t.Fatalf("seed %d: Compare(%v, %v) = %d, want %d", seed, a, b, got, want)
		}
	}
}

func TestNothingMeasuredProvesNothing(t *testing.T) {
	if _, err := Compare(Rate{}, Rate{1, 1}); !errors.Is(err, ErrNoSamples) {
		t.Errorf("Compare of zero operations: %v", err)
	}
	if _, err := Subtract(Rate{5, 1}, Rate{}); !errors.Is(err, ErrNoSamples) {
		t.Errorf("Subtract of zero operations: %v", err)
	}
	if _, err := GeometricMean(nil); !errors.Is(err, ErrNoSamples) {
		t.Errorf("mean of nothing: %v", err)
	}
	if verdict, _ := OverheadBudget.Judge(Rate{5, 1}, Rate{}); verdict != Undecided {
		t.Errorf("budget without a baseline: %v", verdict)
	}
}

func TestSubtract(t *testing.T) {
	if got, err := Subtract(Rate{1000, 10}, Rate{400, 10}); err != nil || got != (Rate{600, 10}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Subtract(Rate{1000, 10}, Rate{400, 9}); err == nil {
		t.Error("different operation counts were subtracted")
	}
	if _, err := Subtract(Rate{1, 10}, Rate{400, 10}); err == nil {
		t.Error("a negative cost passed")
	}
}

func TestGeometricMean(t *testing.T) {
	got, err := GeometricMean([]float64{2, 8})
	if err != nil || math.Abs(got-4) > 1e-12 {
		t.Errorf("mean of 2 and 8 = %v, %v", got, err)
	}
	for _, bad := range [][]float64{{0}, {-1, 2}, {math.NaN()}, {math.Inf(1)}} {
		if _, err := GeometricMean(bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		ours uint64
		want BudgetVerdict
	}{{100, Inside}, {300, Inside}, {301, Undecided}, {500, Undecided}, {501, Outside}} {
		if got, _ := OverheadBudget.Judge(Rate{c.ours, 1}, Rate{100, 1}); got != c.want {
			t.Errorf("%d over 100: %v, want %v", c.ours, got, c.want)
		}
	}
}

func TestRepeatNamesWhatDiffers(t *testing.T) {
	var r Repeat
	r.Add("a", Rate{1, 2}, Rate{1, 2})
	if !r.Equal {
		t.Error("equal figures differ")
	}
	r.Add("b", Rate{1, 2}, Rate{2, 4}) // the same ratio, not the same run
	if r.Equal || len(r.Differing) != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestExitCodes(t *testing.T) {
	for verdict, want := range map[Verdict]int{Pass: 0, Fail: 1, Inconclusive: 3, Infra: 4} {
		if got := verdict.ExitCode(); got != want {
			t.Errorf("%s: exit %d, want %d", verdict, got, want)
		}
	}
}
