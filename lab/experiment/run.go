package experiment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// Measurement is what is known about one arm after all its repeats.
type Measurement struct {
	Arm     Arm
	Digest  abi.Digest
	Verdict stats.Verdict // Pass: the figure may be used; Infra or Inconclusive: Problem says why not
	Problem string
	Report  abi.Report // of the first repeat
	Hello   abi.Hello
	Cost    stats.Rate // instructions per offered packet
	Samples int        // repeats that agreed
	Totals  []uint64   // instructions of each repeat that reported
	Host    time.Duration
}

// Result is a whole experiment. Arms keep the order of the plan.
type Result struct {
	Verdict  stats.Verdict // Pass: the controls behaved
	Problem  string
	Arms     []Measurement
	Samples  []Sample // all that was measured
	Findings []string // what the harness found wrong with itself
	Host     time.Duration
}

// Arm returns the first measurement of a role.
func (r *Result) Arm(role Role) (Measurement, bool) {
	for _, arm := range r.Arms {
		if arm.Arm.Role == role {
			return arm, true
		}
	}
	return Measurement{}, false
}

// Sample is what one guest gave, before anybody judged it. A decision can be
// made again from the plan and its samples alone.
type Sample struct {
	Arm     int // position in the plan
	Repeat  int
	Nonce   [32]byte
	Job     []byte // what the guest was given
	Run     Run
	Failure string // why there is no report, when there is none
}

// Execute measures every arm of the plan. An arm whose guest fails is a
// measurement with verdict infra, and the experiment goes on; an error means
// that the plan was refused or the context ended.
func Execute(ctx context.Context, runner Runner, plan Plan, observe func(Event)) (*Result, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	start := time.Now()
	samples := measureAll(ctx, runner, plan, observe)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result, err := Conclude(plan, samples)
	if err != nil {
		return nil, err
	}
	result.Host = time.Since(start)
	return result, nil
}

// Conclude makes the result of a plan from its samples and nothing else, so
// that what was measured once can be judged again without a guest.
func Conclude(plan Plan, samples []Sample) (*Result, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	runs, err := sortSamples(plan, samples)
	if err != nil {
		return nil, err
	}
	result := &Result{Samples: samples}
	for i, arm := range plan.Arms {
		m := settle(arm, runs[i])
		if m.Verdict == stats.Inconclusive {
			result.Findings = append(result.Findings, fmt.Sprintf("arm %s: %s", arm.Name, m.Problem))
		}
		result.Arms = append(result.Arms, m)
	}
	result.Verdict, result.Problem = controls(result)
	return result, nil
}

// sortSamples gives each arm its repeats: none missing, none twice.
func sortSamples(plan Plan, samples []Sample) ([][]outcome, error) {
	runs := make([][]outcome, len(plan.Arms))
	seen := map[[2]int]bool{}
	for i := range runs {
		runs[i] = make([]outcome, plan.Repeats)
	}
	for _, s := range samples {
		at := [2]int{s.Arm, s.Repeat}
		if s.Arm < 0 || s.Arm >= len(plan.Arms) || s.Repeat < 0 || s.Repeat >= plan.Repeats || seen[at] {
			return nil, fmt.Errorf("sample of arm %d, repeat %d: not in the plan, or there twice", s.Arm, s.Repeat)
		}
		seen[at] = true
		one := outcome{run: s.Run}
		if s.Failure != "" {
			one.err = errors.New(s.Failure)
		} else {
			one.err = checkReport(plan, plan.Arms[s.Arm], s.Nonce, s.Run.Report)
		}
		runs[s.Arm][s.Repeat] = one
	}
	if want := len(plan.Arms) * plan.Repeats; len(seen) != want {
		return nil, fmt.Errorf("%d samples, the plan has %d: %w", len(seen), want, stats.ErrNoSamples)
	}
	return runs, nil
}

// outcome is one repeat of one arm.
type outcome struct {
	run Run
	err error
}

// measureAll starts every guest at once: the runner bounds how many run.
func measureAll(ctx context.Context, runner Runner, plan Plan, observe func(Event)) []Sample {
	samples := make([]Sample, len(plan.Arms)*plan.Repeats)
	var wait sync.WaitGroup
	var mutex sync.Mutex
	done := 0
	tell := func(e Event) {
		mutex.Lock()
		defer mutex.Unlock()
		if e.Finished {
			done++
		}
		e.Done, e.Total = done, len(samples)
		if observe != nil {
			observe(e)
		}
	}
	for i, arm := range plan.Arms {
		for repeat := range plan.Repeats {
			wait.Go(func() {
				sample, err := measureOne(ctx, runner, plan, i, repeat)
				samples[i*plan.Repeats+repeat] = sample
				tell(Event{Arm: arm, Repeat: repeat, Finished: true, Host: sample.Run.Host, Err: err})
			})
		}
	}
	wait.Wait()
	return samples
}

// measureOne runs one guest and checks what it says about itself; the check is
// made again by Conclude, here it is told to those who watch.
func measureOne(ctx context.Context, runner Runner, plan Plan, arm, repeat int) (Sample, error) {
	sample := Sample{Arm: arm, Repeat: repeat}
	failed := func(err error) (Sample, error) {
		sample.Failure = err.Error()
		return sample, err
	}
	if _, err := rand.Read(sample.Nonce[:]); err != nil { // fresh: an old attestation cannot be played back
		return failed(err)
	}
	var err error
	if sample.Job, err = BuildJob(plan.Workload, plan.Arms[arm], sample.Nonce); err != nil {
		return failed(err)
	}
	if sample.Run, err = runner.Measure(ctx, fmt.Sprintf("%s-%d", plan.Arms[arm].Name, repeat+1), sample.Job); err != nil {
		return failed(err)
	}
	return sample, checkReport(plan, plan.Arms[arm], sample.Nonce, sample.Run.Report)
}

// ErrAttestation is wrapped by errors about a guest that did not run what it
// was given.
var ErrAttestation = errors.New("attestation refused")

// checkReport holds a report against the job it answers.
func checkReport(plan Plan, arm Arm, nonce [32]byte, report abi.Report) error {
	if report.Code != abi.OK {
		return fmt.Errorf("the guest reports %v", report.Code)
	}
	if report.Kind != abi.JobMeasure {
		return fmt.Errorf("the guest reports a job of kind %d, it was given %d", report.Kind, abi.JobMeasure)
	}
	if report.Offered != uint64(plan.Workload.PacketCount) {
		return fmt.Errorf("%d packets were offered, the job has %d", report.Offered, plan.Workload.PacketCount)
	}
	if report.InsnTotal == 0 || report.NeededOffered == 0 {
		return fmt.Errorf("nothing was measured: %d instructions, %d needed packets", report.InsnTotal, report.NeededOffered)
	}
	if len(arm.Program) == 0 {
		return nil
	}
	if report.Program != arm.Digest() {
		return fmt.Errorf("%w: the slot holds %s, the arm is %s", ErrAttestation, Short(report.Program), Short(arm.Digest()))
	}
	if report.EventsHandled != report.Offered {
		return fmt.Errorf("%w: the program handled %d of %d events", ErrAttestation, report.EventsHandled, report.Offered)
	}
	if want := Attestation(nonce, plan.Hook, arm.Program, report.EventsHandled); report.Attestation != want {
		return fmt.Errorf("%w: %s instead of %s", ErrAttestation, Short(report.Attestation), Short(want))
	}
	return nil
}

// settle makes one measurement of an arm's repeats.
func settle(arm Arm, runs []outcome) Measurement {
	m := Measurement{Arm: arm, Digest: arm.Digest(), Verdict: stats.Pass}
	for _, one := range runs {
		m.Host += one.run.Host
		if one.err == nil {
			m.Totals = append(m.Totals, one.run.Report.InsnTotal)
		}
	}
	for i, one := range runs {
		if one.err != nil {
			m.Verdict, m.Problem = stats.Infra, one.err.Error()
			return m
		}
		if i == 0 {
			m.Report, m.Hello = one.run.Report, one.run.Hello
			continue
		}
		if difference := differ(runs[0].run, one.run); difference != "" {
			m.Verdict, m.Problem = stats.Inconclusive, fmt.Sprintf("run 1 and run %d differ: %s", i+1, difference)
			return m
		}
	}
	m.Samples = len(runs)
	m.Cost = stats.Rate{Total: m.Report.InsnTotal, Count: m.Report.Offered}
	return m
}

// differ names the first figure that is not the same in both runs. The
// attestation covers a fresh nonce and differs by design.
func differ(a, b Run) string {
	for _, c := range []struct {
		name string
		a, b uint64
	}{
		{"boot instructions of the first CPU", a.Hello.BootInsnCPU0, b.Hello.BootInsnCPU0},
		{"boot instructions", a.Hello.BootInsnTotal, b.Hello.BootInsnTotal},
		{"instructions", a.Report.InsnTotal, b.Report.InsnTotal},
		{"needed packets delivered", a.Report.NeededDelivered, b.Report.NeededDelivered},
		{"needed packets changed", a.Report.NeededChanged, b.Report.NeededChanged},
		{"junk packets delivered", a.Report.JunkDelivered, b.Report.JunkDelivered},
	} {
		if c.a != c.b {
			return fmt.Sprintf("%s: %d, then %d", c.name, c.a, c.b)
		}
	}
	a.Report.Attestation, b.Report.Attestation = abi.Digest{}, abi.Digest{}
	if a.Report != b.Report {
		return fmt.Sprintf("reports %+v and %+v", a.Report, b.Report)
	}
	return ""
}

// controls decides whether the experiment may be believed at all.
func controls(r *Result) (stats.Verdict, string) {
	for _, role := range []Role{RoleFloor, RoleDefault, RoleControl, RolePass, RolePlant} {
		if m, _ := r.Arm(role); m.Verdict != stats.Pass {
			return m.Verdict, fmt.Sprintf("the %s arm has no figure: %s", role, m.Problem)
		}
	}
	base, _ := r.Arm(RoleDefault)
	again, _ := r.Arm(RoleControl)
	if base.Report.InsnTotal != again.Report.InsnTotal {
		return stats.Inconclusive, fmt.Sprintf("the A/A control fired: the default costs %d instructions, then %d",
			base.Report.InsnTotal, again.Report.InsnTotal)
	}
	pass, _ := r.Arm(RolePass)
	plant, _ := r.Arm(RolePlant)
	if order, err := stats.Compare(plant.Cost, pass.Cost); err != nil || order <= 0 {
		return stats.Inconclusive, fmt.Sprintf("the planted regression was not seen: %v instructions per packet with it, %v without",
			plant.Cost, pass.Cost)
	}
	return stats.Pass, ""
}
