package qemu

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// startPaused returns a QEMU that executes nothing, and its monitor.
func startPaused(t *testing.T) (*instance, *monitor) {
	t.Helper()
	pool := newTestPool(t)
	spec := fleet.Spec{Name: "paused", Target: fleet.TargetOurs, Kernel: imageFile(t, sleepingImage), Paused: true}
	if err := pool.complete(&spec); err != nil {
		t.Fatal(err)
	}
	guest, err := start(pool.registry, pool.qemu, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { guest.Stop() })
	qmp, err := guest.monitor(deadline(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return guest, qmp
}

// TestMonitor holds go-qemu to what it fails at alone: events that arrive while
// commands run, a reply over 64 KiB, and calls from several goroutines. Run
// with -race.
func TestMonitor(t *testing.T) {
	_, qmp := startPaused(t)
	ctx := deadline(t, time.Minute)
	if !strings.Contains(qmp.version(), ".") {
		t.Errorf("version %q", qmp.version())
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				for _, command := range []string{"cont", "query-status", "stop"} {
					if _, err := qmp.run(ctx, qmpLimit, command, nil); err != nil {
						t.Errorf("%s: %v", command, err)
						return
					}
				}
			}
		})
	}
	wait.Wait()
	if !qmp.saw("STOP") || !qmp.saw("RESUME") || qmp.saw("SHUTDOWN") {
		t.Error("events STOP and RESUME were not seen, or SHUTDOWN was")
	}
	if _, err := qmp.run(ctx, qmpLimit, "query-qmp-schema", nil); err == nil || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("a reply over 64 KiB: %v", err)
	}
	if text, err := qmp.human(ctx, qmpLimit, "info registers -a"); err != nil || !strings.Contains(text, "PC=") {
		t.Errorf("after a long reply: %q, %v", text, err)
	}
	if _, err := qmp.run(ctx, qmpLimit, "no-such-command", nil); err == nil {
		t.Error("an unknown command succeeded")
	}
}

// TestMonitorLimits: a call that gets no answer returns in time, and so do all
// later ones.
func TestMonitorLimits(t *testing.T) {
	guest, qmp := startPaused(t)
	past, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := qmp.run(past, qmpLimit, "query-status", nil); err == nil {
		t.Log("the answer was faster than the cancelled context")
	}
	if err := guest.Stop(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if _, err := qmp.run(deadline(t, time.Minute), 2*time.Second, "query-status", nil); err == nil {
		t.Error("a monitor without QEMU answered")
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("the call took %v", took)
	}
}
