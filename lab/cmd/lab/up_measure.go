package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/lab/store"
)

// bootKey names a measured boot: a target with so many CPUs.
func bootKey(target string, cpus int) string { return fmt.Sprintf("%s/%d", target, cpus) }

// measureBoots counts the instructions from reset to ready, in guests that do
// nothing else: ours with one CPU and with as many as the standing ones have.
func (u *up) measureBoots() (string, error) {
	if u.targets[fleet.TargetOurs] == 0 {
		return "no guest of ours to measure", nil
	}
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive})
	if err != nil {
		return "", err
	}
	type boot struct {
		target string
		cpus   int
	}
	boots := []boot{{fleet.TargetOurs, 1}, {fleet.TargetOurs, standingCPUs}}
	failures := make([]error, len(boots))
	hellos := make([]abi.Hello, len(boots))
	var wait sync.WaitGroup
	for i, b := range boots {
		wait.Go(func() {
			hellos[i], failures[i] = u.measureBoot(b.target, b.cpus, job)
		})
	}
	wait.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	for i, b := range boots {
		u.bootIs(b.target, b.cpus, hellos[i])
	}
	u.measureLinuxBoot()
	return fmt.Sprintf("ready after %d instructions on one CPU, %d on %d CPUs together",
		hellos[0].BootInsnCPU0, hellos[1].BootInsnTotal, standingCPUs), nil
}

// measureLinuxBoot counts Linux's boot beside the campaign: it takes as long as
// the whole search, and no decision waits for it.
func (u *up) measureLinuxBoot() {
	if u.targets[fleet.TargetLinux612] == 0 {
		return
	}
	u.behind.Go(func() {
		hello, err := u.linuxBoot()
		if err != nil {
			if u.ctx.Err() == nil {
				u.logf("the boot of %s was not measured: %v", fleet.TargetLinux612, err)
			}
			return
		}
		u.bootIs(fleet.TargetLinux612, 1, hello)
	})
}

// linuxBoot gives the guest a job of one packet: measured Linux guests have no
// channel but their report.
func (u *up) linuxBoot() (abi.Hello, error) {
	trace, err := capture.Committed()
	if err != nil {
		return abi.Hello{}, err
	}
	one := capture.Trace{Flows: 1, Packets: []capture.Labelled{{Bytes: trace.Packets[0].Bytes}}}
	program, err := wireProgram("r0 = 2\nexit\n")
	if err != nil {
		return abi.Hello{}, err
	}
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobBench, Program: program, Trace: one.Encode(), Repeat: 1})
	if err != nil {
		return abi.Hello{}, err
	}
	result, err := fleet.RunJob(u.ctx, u.pool, fleet.Spec{Name: "m-boot-linux", Target: fleet.TargetLinux612, CPUs: 1, Job: job})
	return result.Hello, err
}

func (u *up) bootIs(target string, cpus int, hello abi.Hello) {
	u.mutex.Lock()
	u.booted[bootKey(target, cpus)] = hello
	u.mutex.Unlock()
	u.pageBoots()
}

func (u *up) bootOf(target string, cpus int) (abi.Hello, bool) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	hello, ok := u.booted[bootKey(target, cpus)]
	return hello, ok
}

// measureBoot starts a guest under the instruction count and lets it go as soon
// as it said Hello.
func (u *up) measureBoot(target string, cpus int, job []byte) (abi.Hello, error) {
	machine, err := u.pool.Start(u.ctx, fleet.Spec{Name: fmt.Sprintf("m-boot-%s-%d", target, cpus), Target: target, CPUs: cpus, Job: job, Mode: fleet.Measured})
	if err != nil {
		return abi.Hello{}, err
	}
	defer machine.Stop()
	return machine.Hello(), nil
}

// autonomy is what a kernel did with no host and no user space: scan, proposal,
// installation, and the day the traffic turned.
type autonomy struct {
	Records  []abi.Record
	Programs []guest.Program
	Report   abi.Report
}

// letKernelDecide runs the scenario in a kernel that is left alone, under the
// instruction count: its decisions are part of what a seed decides.
func (u *up) letKernelDecide() (string, error) {
	scenario, err := capture.DefaultScenario(u.Seed)
	if err != nil {
		return "", err
	}
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobAutonomous, Seed: u.Seed, Flags: abi.JobPipelineOn,
		Trace: scenario.Trace, Listens: scenario.Listens, Phases: scenario.Phases})
	if err != nil {
		return "", err
	}
	result, err := experiment.NewGuests(u.pool, fleet.TargetOurs, standingCPUs, 1).Job(u.ctx, "autonomous", job)
	if err != nil {
		return "", err
	}
	if result.Report.Code != abi.OK {
		return "", fmt.Errorf("the guest reports %v", result.Report.Code)
	}
	u.autonomy = &autonomy{Records: result.Records, Programs: result.Programs, Report: result.Report}
	counts := map[abi.Verdict]int{}
	for _, record := range result.Records {
		counts[record.Verdict]++
		u.pageRecord("alone", record)
		if _, err := u.ledger.Append("kernel", kernelDecision("alone", record)); err != nil && decides(record) {
			return "", err
		}
	}
	for _, program := range result.Programs {
		u.pageProgram("alone", program)
	}
	return fmt.Sprintf("%d programs written, %d installed, %d kept, %d taken back",
		len(result.Programs), counts[abi.VerdictInstalled], counts[abi.VerdictKept], counts[abi.VerdictRolledBack]), nil
}

// decides says whether a record changes what runs.
func decides(r abi.Record) bool {
	return r.Stage == abi.StageDeploy || r.Stage == abi.StageMonitor || r.Stage == abi.StageFault
}

// kernelLine is one of the kernel's decisions in documents and ledger.
type kernelLine struct {
	Guest     string    `json:"guest"`
	Sequence  uint64    `json:"sequence"`
	TimeNS    uint64    `json:"time_ns"`
	Stage     string    `json:"stage"`
	Verdict   string    `json:"verdict"`
	Code      string    `json:"code,omitempty"`
	Candidate string    `json:"candidate,omitempty"`
	Version   uint32    `json:"version"`
	Values    [8]uint64 `json:"values"`
}

func kernelDecision(name string, r abi.Record) kernelLine {
	line := kernelLine{Guest: name, Sequence: r.Sequence, TimeNS: r.TimeNS, Stage: r.Stage.String(), Verdict: r.Verdict.String(),
		Version: r.SlotVersion, Values: r.Values}
	if r.Code != abi.OK {
		line.Code = r.Code.String()
	}
	if r.Candidate != (abi.Digest{}) {
		line.Candidate = hex.EncodeToString(r.Candidate[:])
	}
	return line
}

// fingerprint says what figures belong to.
func (u *up) fingerprint() map[string]string { return fingerprint(u.pool.Artefacts()) }

// figures is the fingerprint of the samples of a campaign.
func (u *up) figures() (store.Fingerprint, error) {
	facts := u.fingerprint()
	flags, err := u.pool.Flags(fleet.Spec{Target: fleet.TargetOurs, CPUs: measuredCPUs, Job: []byte{0}, Mode: fleet.Measured})
	return store.Fingerprint{KernelDigest: strings.TrimPrefix(facts["kernel_"+fleet.TargetOurs], "sha256 "), Target: fleet.TargetOurs,
		QEMU: facts["qemu"], QEMUFlags: flags, CPUModel: facts["cpu_model"], HostClass: hostClass()}, err
}

// hostClass is the kind of machine that the guests ran on. It changes no figure
// counted in instructions, and says where the host times come from.
func hostClass() string {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model)
}

func fingerprint(artefacts fleet.Artefacts) map[string]string {
	facts := map[string]string{"cpu_model": "cortex-a72 under TCG", "accelerator": "tcg, -icount shift=0,sleep=off",
		"qemu_flags": "-M virt,gic-version=3,dtb-randomness=off -rtc base=2025-01-01T00:00:00,clock=vm -seed 42"}
	if version, err := exec.Command("qemu-system-aarch64", "--version").Output(); err == nil {
		line, _, _ := bytes.Cut(version, []byte("\n"))
		facts["qemu"] = strings.TrimPrefix(string(line), "QEMU emulator version ")
	}
	for _, target := range []string{fleet.TargetOurs, fleet.TargetLinux612} {
		if image, err := os.ReadFile(artefacts.Kernel(target)); err == nil {
			sum := sha256.Sum256(image)
			facts["kernel_"+target] = "sha256 " + hex.EncodeToString(sum[:])
		}
	}
	return facts
}
