package qemu

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// The rest of fleet.Instance: plain access, each under the guest's lock.

func (g *instance) Name() string            { return g.spec.Name }
func (g *instance) Token() string           { return g.entry.Token }
func (g *instance) Target() string          { return g.spec.Target }
func (g *instance) Control() *guest.Client  { return g.control }
func (g *instance) Messages() *guest.Stream { return g.messages }
func (g *instance) Console() []byte         { return g.console.text() }
func (g *instance) Done() <-chan struct{}   { return g.done }

func (g *instance) State() fleet.State {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.state
}

func (g *instance) Hello() abi.Hello {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.hello
}

func (g *instance) BootHost() time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.bootHost
}

func (g *instance) CPUTime() time.Duration {
	if used, err := fleet.ProcessCPU(g.process.Pid); err == nil {
		g.noteCPU(used)
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.cpu
}

// noteCPU keeps the largest figure seen: a process that has ended shows none.
func (g *instance) noteCPU(used time.Duration) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.cpu = max(g.cpu, used)
}

func (g *instance) Err() error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.err
}

func (g *instance) SetBusy(busy bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.busy = busy
}

func (g *instance) GDBSocket() string {
	if g.spec.GDB || g.spec.Paused {
		return g.paths.gdb()
	}
	return ""
}

// Stop implements fleet.Instance.
func (g *instance) Stop() error {
	g.end(errStopped)
	select {
	case <-g.done:
		return nil
	case <-time.After(2 * exitGrace):
		return errors.New("guest " + g.spec.Name + " does not end after SIGKILL")
	}
}

// qmpLimit bounds one QMP call: QEMU answers in milliseconds even when its
// guest does not, but the machine may be loaded.
const qmpLimit = 10 * time.Second

// monitor connects on first use: a measured guest that behaves never needs it.
func (g *instance) monitor(ctx context.Context) (*monitor, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.qmp != nil {
		return g.qmp, nil
	}
	qmp, err := dialMonitor(ctx, g.paths.qmp(), g.paths.relay(), qmpLimit)
	if err == nil {
		g.qmp = qmp
	}
	return qmp, err
}

// Registers asks QEMU for the registers of all CPUs, whatever they are doing.
func (g *instance) Registers(ctx context.Context) (string, error) {
	qmp, err := g.monitor(ctx)
	if err != nil {
		return "", err
	}
	text, err := qmp.human(ctx, qmpLimit, "info registers -a")
	if err != nil {
		return "", err
	}
	var kept []string
	for line := range strings.Lines(text) {
		if !vectorLine.MatchString(line) {
			kept = append(kept, strings.TrimRight(line, "\r\n"))
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n")), nil
}

// vectorLine shows SIMD registers, which say nothing about a hang.
var vectorLine = regexp.MustCompile(`^Q[0-9]{2}=`)
