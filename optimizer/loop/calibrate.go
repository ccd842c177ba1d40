package loop

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
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
	costs := map[string]float64{}
	var mutex sync.Mutex
	var wait sync.WaitGroup
	var failure error
	for name, text := range texts {
		wait.Go(func() {
			cost, err := c.trial(ctx, training, name, text)
			mutex.Lock()
			defer mutex.Unlock()
			costs[name] = cost
			if err != nil {
				failure = err
			}
		})
	}
	wait.Wait()
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

// trial measures one program on the training traffic, once.
func (c *Campaign) trial(ctx context.Context, training experiment.Workload, name, text string) (float64, error) {
	arm := experiment.Arm{Name: "calibrate-" + name, Role: experiment.RoleDefault}
	if text != "" {
		proposals := []Proposal{{Name: name, Role: experiment.RoleCandidate, Text: text}}
		if _, err := admit(proposals); err != nil || !proposals[0].Accepted() {
			return 0, fmt.Errorf("%s was refused: %s", name, proposals[0].Said)
		}
		arm.Role, arm.Program = experiment.RoleCandidate, proposals[0].Program
	}
	job, err := experiment.BuildJob(training, arm, [32]byte{})
	if err != nil {
		return 0, err
	}
	run, err := c.Runner.Measure(ctx, arm.Name, job)
	if err != nil {
		return 0, err
	}
	if run.Report.Code != abi.OK || run.Report.Offered == 0 {
		return 0, fmt.Errorf("%s: the guest reports %v after %d packets", name, run.Report.Code, run.Report.Offered)
	}
	return float64(run.Report.InsnTotal) / float64(run.Report.Offered), nil
}
