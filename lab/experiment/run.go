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

// Execute measures every arm of the plan. An arm whose guest fails is a
// measurement with verdict infra, and the experiment goes on; an error means
// that the plan was refused or the context ended.
func Execute(ctx context.Context, runner Runner, plan Plan, observe func(Event)) (*Result, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	start := time.Now()
	runs := measureAll(ctx, runner, plan, observe)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	result := &Result{Host: 0}
	for i, arm := range plan.Arms {
		m := settle(arm, runs[i])
		if m.Verdict == stats.Inconclusive {
			result.Findings = append(result.Findings, fmt.Sprintf("arm %s: %s", arm.Name, m.Problem))
		}
		result.Arms = append(result.Arms, m)
	}
	result.Verdict, result.Problem = controls(result)
	result.Host = time.Since(start)
	return result, nil
}

// outcome is one repeat of one arm.
type outcome struct {
	run Run
	err error
}

// measureAll starts every guest at once: the runner bounds how many run.
func measureAll(ctx context.Context, runner Runner, plan Plan, observe func(Event)) [][]outcome {
	runs := make([][]outcome, len(plan.Arms))
	var wait sync.WaitGroup
	var mutex sync.Mutex
	done := 0
	tell := func(e Event) {
		mutex.Lock()
		defer mutex.Unlock()
		if e.Finished {
			done++
		}
		e.Done, e.Total = done, len(plan.Arms)*plan.Repeats
		if observe != nil {
			observe(e)
		}
	}
	for i, arm := range plan.Arms {
		runs[i] = make([]outcome, plan.Repeats)
		for repeat := range plan.Repeats {
			wait.Add(1)
			go func() {
				defer wait.Done()
				run, err := measureOne(ctx, runner, plan, arm, repeat)
				runs[i][repeat] = outcome{run, err}
				tell(Event{Arm: arm, Repeat: repeat, Finished: true, Host: run.Host, Err: err})
			}()
		}
	}
	wait.Wait()
	return runs
}

// measureOne runs one guest and checks what it says about itself.
func measureOne(ctx context.Context, runner Runner, plan Plan, arm Arm, repeat int) (Run, error) {
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil { // fresh: an old attestation cannot be played back
		return Run{}, err
	}
	job, err := BuildJob(plan.Workload, arm, nonce)
	if err != nil {
		return Run{}, err
	}
	run, err := runner.Measure(ctx, fmt.Sprintf("%s-%d", arm.Name, repeat+1), job)
	if err != nil {
		return run, err
	}
	return run, checkReport(plan, arm, nonce, run.Report)
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
