package experiment

import (
	"context"
	"fmt"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// Guests is the Runner over real ones. Its own bound keeps measured guests from
// starving the host; the pool's limit counts the standing fleet as well.
type Guests struct {
	pool   fleet.Pool
	target string
	cpus   int
	slots  chan struct{}
	run    func(ctx context.Context, pool fleet.Pool, spec fleet.Spec) (fleet.JobResult, error)
}

// NewGuests measures on guests of a target, at most limit at once.
func NewGuests(pool fleet.Pool, target string, cpus, limit int) *Guests {
	return &Guests{pool: pool, target: target, cpus: cpus, slots: make(chan struct{}, max(limit, 1)), run: fleet.RunJob}
}

// Measure implements Runner.
func (g *Guests) Measure(ctx context.Context, name string, job []byte) (Run, error) {
	result, err := g.Job(ctx, name, job)
	run := Run{Hello: result.Hello, Report: result.Report, Host: result.Wall}
	if err != nil {
		return run, fmt.Errorf("guest of arm %s: %w", name, err)
	}
	return run, nil
}

// Job runs any measured job and returns all that the guest said.
func (g *Guests) Job(ctx context.Context, name string, job []byte) (fleet.JobResult, error) {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return fleet.JobResult{}, ctx.Err()
	}
	defer func() { <-g.slots }()
	return g.run(ctx, g.pool, fleet.Spec{Name: "m-" + name, Target: g.target, CPUs: g.cpus, Job: job})
}
