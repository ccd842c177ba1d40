package objective

import (
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/stats"
)

func report(insn, delivered uint64) abi.Report {
	return abi.Report{Offered: 1000, NeededOffered: 400, NeededDelivered: delivered, InsnTotal: insn}
}

func TestNetRX(t *testing.T) {
	netRX, err := For(abi.HookNetRX)
	if err != nil {
		t.Fatal(err)
	}
	base, floor := report(1_000_000, 400), report(300_000, 400)
	changed := report(500_000, 399)
	changed.NeededChanged = 1
	lossy := report(1_000_000, 390) // a default that loses ten itself
	other := report(500_000, 400)
	other.NeededOffered = 401
	for _, c := range []struct {
		name            string
		candidate, base abi.Report
		verdict         stats.Verdict
		code            abi.Code
		reason          string
	}{
		{"wins", report(500_000, 400), base, stats.Pass, abi.OK, "saves 50.00 %"},
		{"drops everything", report(60_000, 0), base, stats.Fail, abi.ErrLosesNeeded, "loses needed packets: 400 of 400"},
		{"loses one", report(500_000, 399), base, stats.Fail, abi.ErrLosesNeeded, "1 of 400"},
		{"loses what the default loses", report(500_000, 390), lossy, stats.Pass, abi.OK, "saves"},
		{"loses one more", report(500_000, 389), lossy, stats.Fail, abi.ErrLosesNeeded, "the default loses 10"},
		{"changes one", changed, base, stats.Fail, abi.ErrMutates, "changes needed packets: 1"},
		{"beats the floor", report(299_999, 400), base, stats.Infra, abi.OK, "the harness is wrong"},
		{"equals the floor", report(300_000, 400), base, stats.Pass, abi.OK, "saves 70.00 %"},
		{"costs the same", base, base, stats.Fail, abi.ErrWorse, "+0.00 %"},
		{"costs more", report(1_100_000, 400), base, stats.Fail, abi.ErrWorse, "+10.00 %"},
		{"saves too little", report(995_000, 400), base, stats.Fail, abi.ErrNoGain, "0.50 %"},
		{"saw other traffic", other, base, stats.Infra, abi.ErrNotDefault, "different traffic"},
	} {
		j := netRX.Judge(c.candidate, c.base, floor)
		if j.Verdict != c.verdict || j.Code != c.code || !strings.Contains(j.Reason, c.reason) {
			t.Errorf("%s: %s, code %d, %q", c.name, j.Verdict, j.Code, j.Reason)
		}
	}
	if j := netRX.Judge(report(500_000, 400), base, floor); j.Recovered < 0.714 || j.Recovered > 0.715 {
		t.Errorf("half of the cost is %v of the room to the floor, want 5/7", j.Recovered)
	}
	empty := abi.Report{}
	if j := netRX.Judge(empty, empty, empty); j.Verdict != stats.Infra {
		t.Errorf("nothing offered: %s", j.Verdict)
	}
	if _, err := For(abi.HookNone); err == nil {
		t.Error("a hook without an objective has one")
	}
}
