package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// JobResult is all that a measured guest said.
type JobResult struct {
	Hello    abi.Hello
	Report   abi.Report
	Records  []abi.Record
	Programs []guest.Program
	Lost     uint64 // messages that did not fit the queue
	Console  []byte
	CPU      time.Duration
	Wall     time.Duration
}

// RunJob boots a fresh measured guest with spec.Job, collects what it says and
// waits for its end. A guest that ends without a report is a DeathError; a
// report with a Code other than OK is a result, for the caller to judge.
func RunJob(ctx context.Context, pool Pool, spec Spec) (JobResult, error) {
	if _, code := abi.ParseJob(spec.Job); code != abi.OK {
		return JobResult{}, fmt.Errorf("job: %v", code)
	}
	spec.Mode = Measured
	started := time.Now()
	machine, err := pool.Start(ctx, spec)
	if err != nil {
		return JobResult{}, err
	}
	defer machine.Stop()
	result := JobResult{Hello: machine.Hello()}
	reported := false
	messages := machine.Messages()
	for {
		m, err := messages.Next(ctx)
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		if err != nil {
			break // the channel closed: all was said
		}
		result.Records = append(result.Records, guest.Records(m)...)
		if program, ok := guest.ReadProgram(m); ok {
			result.Programs = append(result.Programs, program)
		}
		if report, ok := guest.ReadReport(m); ok {
			result.Report, reported = report, true
		}
	}
	select {
	case <-machine.Done():
	case <-ctx.Done():
		return result, ctx.Err()
	}
	result.Lost, result.Console = messages.Lost(), machine.Console()
	result.CPU, result.Wall = machine.CPUTime(), time.Since(started)
	if err := machine.Err(); err != nil {
		return result, err
	}
	if !reported {
		return result, &DeathError{Name: machine.Name(), Target: machine.Target(), Cause: errors.New("it powered off without a report"),
			Console: result.Console, CPU: result.CPU, Wall: result.Wall}
	}
	return result, nil
}
