package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/store"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

// calibrationSlots is how many useless instructions tell the cost of one.
const calibrationSlots = 64

// calibrate asks the fleet what the search has to reckon with on this kernel:
// what an instruction of a program costs, what running one at all costs, and
// what a packet that nobody wants costs. Four guests, on training traffic. A
// search with wrong costs is a worse search, not a wrong verdict, so a failure
// here is told and not fatal.
func (c *Campaign) calibrate(ctx context.Context, training experiment.Workload, w *propose.Window) (propose.Costs, string) {
	filter := propose.Seeds(w)["high-datagrams"]
	texts := map[string]string{
		"default": "",
		"pass":    "r0 = 2\nexit\n",
		"slow":    strings.Repeat("r3 = 7\n", calibrationSlots) + "r0 = 2\nexit\n",
		"filter":  filter.Print(),
	}
	costs, failure := c.trials(ctx, training, texts)
	if failure != nil {
		return propose.DefaultCosts, fmt.Sprintf("not calibrated: %v", failure)
	}
	rehearsal, packets := w.Rehearse(filter), float64(len(w.Packets))
	measured := propose.Costs{Step: (costs["slow"] - costs["pass"]) / calibrationSlots}
	measured.Call = costs["pass"] - costs["default"] - 2*measured.Step
	expected := costs["default"] + measured.Call + measured.Step*float64(rehearsal.Steps)/packets
	measured.Unwanted = (expected - costs["filter"]) * packets / float64(max(rehearsal.Dropped, 1))
	if measured.Step <= 0 || measured.Unwanted <= 0 {
		return propose.DefaultCosts, fmt.Sprintf("not calibrated: %v makes no sense", measured)
	}
	return measured, "calibrated: " + measured.String()
}

// trials measures the programs side by side, and keeps the samples.
func (c *Campaign) trials(ctx context.Context, training experiment.Workload, texts map[string]string) (map[string]float64, error) {
	costs := map[string]float64{}
	kept := store.Bundle{Purpose: store.PurposeCalibration, Plan: experiment.Plan{Hook: c.Hook, Workload: training, Repeats: 1}, Fingerprint: c.figures(training)}
	var mutex sync.Mutex
	var wait sync.WaitGroup
	var failure error
	for i, name := range slices.Sorted(maps.Keys(texts)) {
		arm, err := calibrationArm(name, texts[name])
		if err != nil {
			return nil, err
		}
		kept.Plan.Arms = append(kept.Plan.Arms, arm)
		wait.Go(func() {
			sample, cost, err := c.trial(ctx, training, arm)
			mutex.Lock()
			defer mutex.Unlock()
			sample.Arm, costs[name] = i, cost
			kept.Samples = append(kept.Samples, sample)
			if err != nil {
				failure = err
			}
		})
	}
	wait.Wait()
	slices.SortFunc(kept.Samples, func(a, b experiment.Sample) int { return a.Arm - b.Arm })
	if c.Evidence != nil && ctx.Err() == nil {
		if _, err := c.Evidence.Save(ctx, kept); err != nil {
			return costs, err
		}
	}
	return costs, failure
}

// calibrationArm takes a program through the host's stages.
func calibrationArm(name, text string) (experiment.Arm, error) {
	arm := experiment.Arm{Name: "calibrate-" + name, Role: experiment.RoleDefault}
	if text == "" {
		return arm, nil
	}
	proposals := []Proposal{{Name: name, Role: experiment.RoleCandidate, Text: text}}
	if _, err := admit(proposals); err != nil || !proposals[0].Accepted() {
		return arm, fmt.Errorf("%s was refused: %s", name, proposals[0].Said)
	}
	arm.Role, arm.Program = experiment.RoleCandidate, proposals[0].Program
	return arm, nil
}

// trial measures one program on the training traffic, once.
func (c *Campaign) trial(ctx context.Context, training experiment.Workload, arm experiment.Arm) (sample experiment.Sample, cost float64, err error) {
	if sample.Job, err = experiment.BuildJob(training, arm, sample.Nonce); err == nil {
		sample.Run, err = c.Runner.Measure(ctx, arm.Name, sample.Job)
	}
	if err != nil {
		sample.Failure = err.Error()
		return sample, 0, err
	}
	report := sample.Run.Report
	if report.Code != abi.OK || report.Offered == 0 {
		return sample, 0, fmt.Errorf("%s: the guest reports %v after %d packets", arm.Name, report.Code, report.Offered)
	}
	return sample, float64(report.InsnTotal) / float64(report.Offered), nil
}
