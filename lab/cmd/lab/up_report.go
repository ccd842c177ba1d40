package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/optimizer/loop"
)

// upReport is the document of lab up. Everything in it but boot_host_ms, state,
// live, evidence and elapsed_s follows from the seed; evidence is the digest of
// stored samples, host times among them, so each run has its own.
type upReport struct {
	Fleet     []upRow           `json:"fleet"`
	Verdict   stats.Verdict     `json:"verdict"`
	Reason    string            `json:"reason"`
	Promoted  string            `json:"promoted"` // digest, empty when none was
	Unit      string            `json:"unit"`
	Decisions []loop.Decision   `json:"decisions"`
	Controls  []upControl       `json:"controls"`
	Kernel    []kernelLine      `json:"kernel"` // decisions of a kernel that was left alone
	Live      []upLive          `json:"live"`   // what the standing fleet made of the winner
	Findings  []string          `json:"findings"`
	Facts     map[string]string `json:"fingerprint"`
	Seed      uint64            `json:"seed"`
	Page      string            `json:"page,omitempty"`
	Ledger    string            `json:"ledger"`
	Evidence  string            `json:"evidence,omitempty"` // what lab judge reads
	ElapsedS  float64           `json:"elapsed_s"`
}

type upControl struct {
	Name      string  `json:"name"`
	InsnPerOp float64 `json:"insn_per_op"`
	Insn      uint64  `json:"insn"`
	Samples   int     `json:"samples"`
}

type upLive struct {
	Guest   string `json:"guest"`
	Stage   string `json:"stage"`
	Verdict string `json:"verdict"`
	Said    string `json:"said"`
}

func (u *up) report() upReport {
	d := u.outcome.Decision
	report := upReport{Fleet: u.fleetRows(), Verdict: d.Verdict, Reason: d.Reason, Unit: u.outcome.Objective.Unit,
		Decisions: u.outcome.Decisions(), Controls: []upControl{}, Kernel: []kernelLine{}, Live: []upLive{}, Findings: []string{},
		Facts: u.fingerprint(), Seed: u.Seed, Ledger: u.path, Evidence: u.outcome.Evidence, ElapsedS: time.Since(u.started).Seconds()}
	for i := range report.Decisions {
		report.Decisions[i].Evidence = "" // once, at the top
	}
	if !u.verb.Once {
		report.Page = u.address
	}
	if d.Promoted != nil {
		report.Promoted = hex.EncodeToString(d.Promoted.Measurement.Digest[:])
	}
	report.Findings = append(report.Findings, u.outcome.Result.Findings...)
	for _, arm := range u.outcome.Result.Arms {
		control := upControl{Name: arm.Arm.Name, Insn: arm.Cost.Total, Samples: arm.Samples}
		if arm.Cost.Count > 0 {
			control.InsnPerOp = arm.Cost.PerOperation()
		}
		report.Controls = append(report.Controls, control)
	}
	if u.autonomy != nil {
		for _, record := range u.autonomy.Records {
			report.Kernel = append(report.Kernel, kernelDecision("alone", record))
		}
	}
	for _, live := range u.outcome.Live {
		report.Live = append(report.Live, upLive{live.Guest, live.Stage.String(), live.Verdict.String(), live.Said})
	}
	return report
}

// fleetRows lists the standing guests with the measured boots of their kind.
func (u *up) fleetRows() []upRow {
	rows := []upRow{}
	if u.fleet == nil {
		return rows
	}
	for _, machine := range u.fleet.Guests() {
		hello := machine.Hello()
		row := upRow{Name: machine.Name(), Target: machine.Target(), State: machine.State(), CPUs: hello.CPUs,
			BootHostMS: float64(machine.BootHost().Microseconds()) / 1000}
		if one, ok := u.bootOf(machine.Target(), 1); ok {
			row.BootInsn = one.BootInsnCPU0
		}
		if all, ok := u.bootOf(machine.Target(), int(hello.CPUs)); ok {
			row.BootInsnTotal = all.BootInsnTotal
		}
		rows = append(rows, row)
	}
	for range u.fleet.Failed() {
		rows = append(rows, upRow{State: fleet.StateFailed})
	}
	return rows
}

// announce prints the result for people.
func (u *up) announce() {
	u.printf("%-14s %-11s %-8s %5s %14s %14s %10s\n", "GUEST", "TARGET", "STATE", "CPUS", "READY, INSN", "ALL CPUS", "HOST MS")
	for _, row := range u.fleetRows() {
		u.printf("%-14s %-11s %-8s %5d %14d %14d %10.0f\n", row.Name, row.Target, row.State, row.CPUs, row.BootInsn, row.BootInsnTotal, row.BootHostMS)
	}
	u.printf("\n%-24s %16s %9s  %s\n", "ARM", "INSN PER PACKET", "", "")
	for _, arm := range plotOf(u.outcome).Arms {
		change := ""
		if base := plotOf(u.outcome).Baseline; base > 0 && arm.Value > 0 {
			change = fmt.Sprintf("%+.1f %%", 100*(arm.Value/base-1))
		}
		u.printf("%-24s %16.1f %9s  %s\n", arm.Name, arm.Value, change, arm.Reason)
	}
	u.printf("\n%s\n", u.headline())
	for _, live := range u.outcome.Live {
		if live.Verdict != abi.VerdictNone || live.Said != "" {
			u.printf("  %s %s\n", live.Guest, live.Said)
		}
	}
	u.printf("decided after %.1f s; ledger %s\n", time.Since(u.started).Seconds(), u.path)
}

// detachedVariable tells the background process that it is one.
const detachedVariable = "LAB_DETACHED"

// detachPatience is how long the campaign may take before the foreground gives
// up waiting; the background goes on.
const detachPatience = 10 * time.Minute

// detach starts this command again in a session of its own, shows its output
// until the campaign is decided, and leaves it running.
func (v upVerb) detach(e *env) error {
	registry, err := fleet.OpenRegistry(e.State)
	if err != nil {
		return infra("%w", err)
	}
	path := filepath.Join(registry.Dir(), "up.log")
	log, err := os.Create(path)
	if err != nil {
		return infra("%w", err)
	}
	defer log.Close()
	command := exec.Command("/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), detachedVariable+"=1")
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return infra("%w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	deadline := time.After(detachPatience)
	shown := 0
	for {
		text, _ := os.ReadFile(path)
		if end := strings.LastIndexByte(string(text), '\n') + 1; end > shown {
			fmt.Fprint(e.stdout, string(text[shown:end]))
			shown = end
		}
		if strings.Contains(string(text), "the fleet stands;") {
			e.logf("lab goes on as process %d; output in %s; lab down ends it", command.Process.Pid, path)
			return nil
		}
		select {
		case err := <-ended:
			return infra("the background lab ended: %v; see %s", err, path)
		case <-deadline:
			return infra("no decision after %v; lab goes on as process %d, output in %s", detachPatience, command.Process.Pid, path)
		case <-e.ctx.Done():
			_ = command.Process.Signal(os.Interrupt)
			<-ended
			return infra("interrupted")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
