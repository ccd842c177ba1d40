package fleet

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// UpSpec is a standing fleet: live guests that receive winners by hot swap.
type UpSpec struct {
	Targets map[string]int // canonical target -> number of guests
	CPUs    int            // of each of our guests, default 4
	Job     []byte         // live job of our guests: trace, listens and phases
	Seed    uint64         // guest i gets Seed+i
	Network bool
	Started func(Instance, error) // called as each guest becomes ready or fails; may be nil
}

// DefaultTargets is the fleet of `lab up`.
func DefaultTargets() map[string]int {
	return map[string]int{TargetOurs: 3, TargetLinux612: 1}
}

// Event is something a guest of the fleet said, or that it ended.
type Event struct {
	Guest   Instance
	Message guest.Message
	Ended   bool  // the last event of this guest
	Err     error // how it ended; nil when it was stopped or powered off
}

// Records of the event, if it carries any.
func (e Event) Records() []abi.Record { return guest.Records(e.Message) }

// Fleet is a set of live guests.
type Fleet struct {
	guests []Instance
	failed []error
	events chan Event
	stop   context.CancelFunc
	wait   sync.WaitGroup
}

// eventsQueued between guests and reader: beyond it each guest's own stream
// queues, and drops its oldest.
const eventsQueued = 1024

// Up boots the fleet, all guests at once within the pool's limit. A guest that
// does not boot is in Failed, and the others go on; without any guest, or when
// ctx ends first, Up fails. The fleet runs until Down.
func Up(ctx context.Context, pool Pool, spec UpSpec) (*Fleet, error) {
	specs, err := spec.guests()
	if err != nil {
		return nil, err
	}
	if len(specs) > pool.Limit() {
		return nil, fmt.Errorf("%d guests do not fit: this machine runs %d at once (--targets)", len(specs), pool.Limit())
	}
	booted := make([]Instance, len(specs))
	failures := make([]error, len(specs))
	var boots sync.WaitGroup
	for i := range specs {
		boots.Go(func() {
			booted[i], failures[i] = pool.Start(ctx, specs[i])
			if spec.Started != nil {
				spec.Started(booted[i], failures[i])
			}
		})
	}
	boots.Wait()
	living, stop := context.WithCancel(context.Background())
	f := &Fleet{events: make(chan Event, eventsQueued), stop: stop}
	for i := range specs {
		if failures[i] != nil {
			f.failed = append(f.failed, failures[i])
			continue
		}
		f.guests = append(f.guests, booted[i])
	}
	if len(f.guests) == 0 || ctx.Err() != nil {
		return nil, errors.Join(append(f.failed, ctx.Err(), f.Down())...)
	}
	for _, machine := range f.guests {
		f.wait.Go(func() { f.listen(living, machine) })
	}
	go func() {
		f.wait.Wait()
		close(f.events)
	}()
	return f, nil
}

// guests lists what to start: ours first, names numbered per target.
func (s UpSpec) guests() ([]Spec, error) {
	names := make([]string, 0, len(s.Targets))
	for name := range s.Targets {
		names = append(names, name)
	}
	sort.Strings(names)
	var specs []Spec
	for _, name := range names {
		target, err := CanonicalTarget(name)
		if err != nil {
			return nil, err
		}
		for i := 1; i <= s.Targets[name]; i++ {
			one := Spec{Name: fmt.Sprintf("%s-%d", target, i), Target: target, Mode: Live,
				Seed: s.Seed + uint64(len(specs)), Network: s.Network, GDB: true}
			if !IsLinux(target) {
				one.CPUs, one.Job, one.Mode = s.CPUs, s.Job, Counted
				if one.CPUs == 0 {
					one.CPUs = 4
				}
			}
			specs = append(specs, one)
		}
	}
	if len(specs) == 0 {
		return nil, errors.New("a fleet of no guests")
	}
	return specs, nil
}

// listen turns one guest's messages into events until it ends.
func (f *Fleet) listen(ctx context.Context, machine Instance) {
	for {
		m, err := machine.Messages().Next(ctx)
		event := Event{Guest: machine, Message: m}
		if err != nil {
			if ctx.Err() == nil {
				<-machine.Done()
			}
			event = Event{Guest: machine, Ended: true, Err: machine.Err()}
		}
		select {
		case f.events <- event:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Guests that became ready, in the order of their names.
func (f *Fleet) Guests() []Instance { return f.guests }

// Ours are the guests that run our kernel.
func (f *Fleet) Ours() []Instance {
	var ours []Instance
	for _, machine := range f.guests {
		if machine.Target() == TargetOurs {
			ours = append(ours, machine)
		}
	}
	return ours
}

// Failed are the boot errors of the others.
func (f *Fleet) Failed() []error { return f.failed }

// Events is closed after the last guest has ended or Down was called.
func (f *Fleet) Events() <-chan Event { return f.events }

// Down stops all guests. It may be called more than once.
func (f *Fleet) Down() error {
	f.stop()
	var failures []error
	for _, machine := range f.guests {
		failures = append(failures, machine.Stop())
	}
	f.wait.Wait()
	return errors.Join(failures...)
}
