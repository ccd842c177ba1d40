package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// The watcher looks at a guest's CPU time a few times a second. Readiness and
// results never depend on it: it only ends what has gone on for too long.

const (
	watchPeriod = 200 * time.Millisecond

	// A live guest that used more than spinShare of one CPU over spinWindow
	// without work is spinning: an idle kernel waits for an interrupt.
	spinWindow = 4 * time.Second
	spinShare  = 0.6

	// A kernel that panics prints its state and powers off within panicGrace.
	panicGrace = 3 * time.Second

	// A guest that burns CPU, or says nothing for heartbeatPeriod, is asked
	// whether it lives. It may take answerCPU of its own CPU time to answer, or
	// answerWall when it burns none.
	heartbeatPeriod = 15 * time.Second
	answerCPU       = 8 * time.Second
	answerWall      = 60 * time.Second
)

// watch runs for as long as the process does.
func (g *instance) watch() {
	ticker := time.NewTicker(watchPeriod)
	defer ticker.Stop()
	w := watcher{guest: g, windowStart: g.started, lastAsked: g.started}
	ending := false
	for {
		select {
		case <-g.exited:
			w.stopAsking()
			g.finish()
			return
		case now := <-ticker.C:
			used, err := fleet.ProcessCPU(g.process.Pid)
			if err != nil {
				continue // it is ending
			}
			g.noteCPU(used)
			if cause := w.look(now, used); cause != nil && !ending {
				// Once: on a busy machine a killed process outlives several
				// ticks, and asking it again loses the registers it gave.
				ending = true
				g.hang(cause)
			}
		}
	}
}

// hang takes the registers and kills.
func (g *instance) hang(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*qmpLimit)
	defer cancel()
	registers, err := g.Registers(ctx)
	if err != nil {
		registers = "not available: " + err.Error()
	}
	g.mutex.Lock()
	g.registers = nameCounters(registers, g.spec.Symbols)
	g.mutex.Unlock()
	g.end(cause)
}

// watcher is the state of one guest's watching.
type watcher struct {
	guest       *instance
	windowStart time.Time
	windowCPU   time.Duration

	lastAsked time.Time
	asked     time.Time // zero = no question open
	askedCPU  time.Duration
	answer    chan error
	cancel    context.CancelFunc
}

// look returns why the guest must end, or nil.
func (w *watcher) look(now time.Time, used time.Duration) error {
	g := w.guest
	g.mutex.Lock()
	state, busy := g.state, g.busy
	g.mutex.Unlock()
	wall := now.Sub(g.started)
	_, panicTime, panicked := g.console.panicked()
	switch {
	case g.spec.Paused:
		return nil // in a debugger's hands
	case panicked && now.Sub(panicTime) > panicGrace:
		return errors.New("panicked and did not power off") // endCause has the line
	case panicked:
		return nil
	case state == fleet.StateStarting && !oneChannel(g.spec): // a measured Linux says Hello when its job is done
		return overBudget("boot", used, wall, g.spec.Budget.Boot)
	case g.spec.Mode == fleet.Measured || g.spec.Budget.Run > 0:
		return overBudget("run", used, wall, g.spec.Budget.Run)
	}
	burning := w.burning(now, used, busy)
	return w.ask(now, used, burning)
}

func overBudget(what string, used, wall, budget time.Duration) error {
	if budget <= 0 {
		return nil
	}
	if used > budget {
		return fmt.Errorf("used up its %s budget of %v CPU time", what, budget)
	}
	if wall > fleet.WallFactor*budget {
		return fmt.Errorf("hangs: %v of wall time passed in its %s budget of %v CPU time", wall.Round(time.Second), what, budget)
	}
	return nil
}

// burning measures the share of a CPU over whole windows and flags a guest that
// spins without work.
func (w *watcher) burning(now time.Time, used time.Duration, busy bool) bool {
	span := now.Sub(w.windowStart)
	if span < spinWindow {
		return false
	}
	share := float64(used-w.windowCPU) / float64(span)
	w.windowStart, w.windowCPU = now, used
	g := w.guest
	g.mutex.Lock()
	defer g.mutex.Unlock()
	before := g.state
	if share > spinShare && !busy {
		g.state = fleet.StateSpinning
	} else {
		g.state = fleet.StateReady
	}
	if g.state != before {
		g.record()
	}
	return share > spinShare
}

// ask keeps at most one ping open and returns an error when it is overdue.
func (w *watcher) ask(now time.Time, used time.Duration, burning bool) error {
	if w.asked.IsZero() {
		if !burning && now.Sub(w.lastAsked) < heartbeatPeriod {
			return nil
		}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		w.asked, w.askedCPU, w.lastAsked = now, used, now
		w.answer = make(chan error, 1)
		go func(answer chan<- error) { answer <- w.guest.control.Ping(ctx, []byte("alive?")) }(w.answer)
		return nil
	}
	select {
	case err := <-w.answer:
		w.stopAsking()
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("does not answer: %w", err)
		}
		return nil
	default:
	}
	if used-w.askedCPU > answerCPU {
		return fmt.Errorf("hangs: burnt %v of CPU time without answering a ping", used-w.askedCPU)
	}
	if now.Sub(w.asked) > answerWall {
		return fmt.Errorf("hangs: no answer to a ping in %v", answerWall)
	}
	return nil
}

func (w *watcher) stopAsking() {
	if w.cancel != nil {
		w.cancel()
	}
	w.asked, w.cancel = time.Time{}, nil
}
