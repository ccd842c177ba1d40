package loop

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/promote"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/lab/store"
	"github.com/kingly-os/go-kernel/optimizer/objective"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

// Recorder is the ledger as the campaign uses it.
type Recorder interface {
	Append(kind string, body any) (ledger.Entry, error)
}

// Standing is the fleet that receives the winner.
type Standing interface {
	// Install sends the program to every live guest of ours and waits until each
	// guest's own monitor has spoken.
	Install(ctx context.Context, hook abi.HookID, program []byte) []Live
}

// Live is what became of a winner in one live guest.
type Live struct {
	Guest   string      `json:"guest"`
	Stage   abi.Stage   `json:"stage"`
	Verdict abi.Verdict `json:"verdict"`
	Code    abi.Code    `json:"code"`
	Said    string      `json:"said"` // for people
}

// Campaign is one search for a better program at one hook.
type Campaign struct {
	Hook        abi.HookID
	Seed        uint64
	Candidates  int    // how many mutants reach the fleet
	Packets     uint32 // per measured guest
	Objects     []Object
	Runner      experiment.Runner
	Ledger      Recorder
	Standing    Standing          // nil: nothing is installed
	Fingerprint map[string]string // what the figures belong to, in words
	Evidence    Keeper            // nil: samples are not kept, and no decision can be judged again
	Figures     store.Fingerprint // what the samples belong to; the seed is the workload's
	Observe     func(Progress)    // nil: nobody watches
}

// Object is a candidate as clang made it: an ELF file.
type Object struct {
	Name  string
	Bytes []byte
}

// Step names a part of the story, for those who watch.
type Step string

const (
	StepPropose    Step = "Propose"
	StepVerify     Step = "Verify"
	StepExperiment Step = "Experiment"
	StepPromote    Step = "Promote"
	StepInstall    Step = "Swap into the fleet"
)

// Steps in their order.
var Steps = []Step{StepPropose, StepVerify, StepExperiment, StepPromote, StepInstall}

// Progress is told at the beginning and end of each step, and for each guest.
type Progress struct {
	Step     Step
	Ended    bool
	Err      error
	Took     time.Duration
	Detail   string
	Guest    *experiment.Event // one measured guest
	Campaign *Outcome          // what is known so far
}

// Outcome is everything a campaign found out.
type Outcome struct {
	Seed       uint64
	Commitment string
	Workload   experiment.Workload
	Objective  objective.Objective
	Proposals  []Proposal // with their fate on the host
	Result     *experiment.Result
	Decision   promote.Decision
	Evidence   string // digest of the stored samples, once they are stored
	Live       []Live
}

// Run is the story.
func (c *Campaign) Run(ctx context.Context) (*Outcome, error) {
	out := &Outcome{Seed: c.Seed}
	salt, err := c.publish(out) // the seed's hash, before any candidate exists
	if err != nil {
		return out, err
	}
	err = c.step(out, StepPropose, func() (detail string, err error) {
		out.Proposals, detail, err = c.propose(ctx)
		return detail, err
	})
	if err != nil {
		return out, err
	}
	err = c.step(out, StepVerify, func() (string, error) { return admit(out.Proposals) })
	if err != nil {
		return out, err
	}
	err = c.step(out, StepExperiment, func() (detail string, err error) {
		out.Result, err = experiment.Execute(ctx, c.Runner, c.plan(out), c.watch(out))
		return describeResult(out.Result), err
	})
	if err != nil {
		return out, err
	}
	err = c.step(out, StepPromote, func() (string, error) {
		out.Decision = promote.Decide(out.Objective, out.Result)
		if err := c.keep(ctx, out); err != nil { // first the samples, then what was decided from them
			return "", err
		}
		return out.Decision.Reason, c.record(out, salt)
	})
	if err != nil || out.Decision.Promoted == nil || c.Standing == nil {
		return out, err
	}
	err = c.step(out, StepInstall, func() (string, error) {
		out.Live = c.Standing.Install(ctx, c.Hook, out.Decision.Promoted.Measurement.Arm.Program)
		return describeLive(out.Live), c.recordLive(out)
	})
	return out, err
}

// step times one step and tells those who watch.
func (c *Campaign) step(out *Outcome, step Step, work func() (string, error)) error {
	c.tell(Progress{Step: step, Campaign: out})
	start := time.Now()
	detail, err := work()
	c.tell(Progress{Step: step, Ended: true, Err: err, Took: time.Since(start), Detail: detail, Campaign: out})
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

func (c *Campaign) tell(p Progress) {
	if c.Observe != nil {
		c.Observe(p)
	}
}

func (c *Campaign) watch(out *Outcome) func(experiment.Event) {
	return func(e experiment.Event) { c.tell(Progress{Step: StepExperiment, Guest: &e, Campaign: out}) }
}

// publish makes the workload and puts the hash of its seed into the ledger.
func (c *Campaign) publish(out *Outcome) (salt [32]byte, err error) {
	if out.Objective, err = objective.For(c.Hook); err != nil {
		return salt, err
	}
	if out.Workload, err = Workload(c.Hook, derive(c.Seed, "workload"), c.Packets); err != nil {
		return salt, err
	}
	if _, err = rand.Read(salt[:]); err != nil {
		return salt, err
	}
	out.Commitment = experiment.Commitment(out.Workload.Seed, salt)
	_, err = c.Ledger.Append("campaign", campaignBody{Hook: out.Objective.Name, Objective: out.Objective.Unit,
		SeedHash: out.Commitment, Packets: c.Packets, Fingerprint: c.Fingerprint})
	return salt, err
}

// plan lists the arms: the controls, the planted losers, and what was accepted.
func (c *Campaign) plan(out *Outcome) experiment.Plan {
	arms := []experiment.Arm{
		{Name: "floor", Role: experiment.RoleFloor},
		{Name: "default", Role: experiment.RoleDefault},
		{Name: "control", Role: experiment.RoleControl},
	}
	for _, p := range out.Proposals {
		if p.Accepted() {
			arms = append(arms, experiment.Arm{Name: p.Name, Role: p.Role, Program: p.Program})
		}
	}
	return experiment.Plan{Hook: c.Hook, Workload: out.Workload, Arms: arms, Repeats: 2}
}

// propose searches on a window of other seeds and adds what is planted.
func (c *Campaign) propose(ctx context.Context) ([]Proposal, string, error) {
	training, err := Workload(c.Hook, derive(c.Seed, "training"), trainingPackets)
	if err != nil {
		return nil, "", err
	}
	window, err := trainingWindow(training)
	if err != nil {
		return nil, "", err
	}
	calibration := ""
	window.Costs, calibration = c.calibrate(ctx, training, window)
	filters := propose.DefaultSearch.Run(derive(c.Seed, "proposer"), window, c.Candidates)
	proposals := planted(derive(c.Seed, "plant"), window)
	for i, filter := range filters {
		proposals = append(proposals, Proposal{Name: fmt.Sprintf("mutant-%d", i+1), Role: experiment.RoleCandidate,
			Origin: filter.Origin, Text: filter.Root.Print()})
	}
	for _, object := range c.Objects {
		proposals = append(proposals, Proposal{Name: object.Name, Role: experiment.RoleCandidate,
			Origin: "C source, compiled by clang", Object: object.Bytes})
	}
	s := propose.DefaultSearch
	detail := fmt.Sprintf("%d mutants rehearsed on %d packets, %d kept, %d from C, %d planted losers; %s",
		s.Generations*s.Children, len(window.Packets), len(filters), len(c.Objects), len(propose.CheatNames), calibration)
	return proposals, detail, nil
}

// Verdict of the whole campaign.
func (o *Outcome) Verdict() stats.Verdict { return o.Decision.Verdict }
