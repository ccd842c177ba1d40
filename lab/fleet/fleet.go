// Package fleet starts, watches and ends guests. It knows what a guest is
// (Spec, Instance, Pool, BootError, the registry of running ones) and not how
// one is run: lab/fleet/qemu does that.
//
// Invariants: at most Limit guests of a pool run at once; a guest is ready when
// it says Hello on its control channel, never because someone looked; every
// wait is bounded by CPU-seconds of the guest, with a wall clock ten times as
// long only for a guest that hangs without burning CPU; whatever way a guest
// ends, its slot and its entry in the registry are freed.
package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// State of a guest.
type State string

const (
	StateStarting State = "starting" // the process runs, no Hello yet
	StateReady    State = "ready"    // said Hello
	StateSpinning State = "spinning" // ready, idle, and burning CPU all the same
	StateDone     State = "done"     // powered itself off
	StateFailed   State = "failed"   // died, hung, spun or panicked
	StateStopped  State = "stopped"  // ended by the lab
)

// Mode says what the guest is for.
type Mode int

const (
	// Live guests run on the host's clock and take commands: they measure nothing.
	Live Mode = iota
	// Measured guests run on the instruction count with fixed seed and clock, get
	// their whole job before they start, and report out. See canonicalFlags.
	Measured
	// Counted guests are live, and their instructions are counted: they take
	// commands in the host's time and repeat nothing, but what their monitors see
	// as cost is instructions and not how busy the host is. Their CPUs take turns.
	Counted
)

// Spec is a guest to be started.
type Spec struct {
	Name      string // unique among running guests; made up when empty
	Target    string // one of Targets
	Kernel    string // default: the target's artefact
	Initramfs string // default: the target's artefact; empty for ours
	Symbols   string // default: the target's artefact
	Job       []byte // abi job blob; empty = none
	Append    string // more kernel command line
	CPUs      int    // 1..8, default 1
	MemoryMiB int    // default 128 (ours) or 256 (Linux)
	Mode      Mode
	Seed      uint64 // QEMU's -seed in live mode; measured runs use the canonical one
	Network   bool   // virtio-net with an isolated user-mode network
	Frames    bool   // virtio-net whose other end is Instance.Frames
	PVPanic   bool   // a pvpanic device: a byte to it stops the machine
	GDB       bool   // gdb stub on a unix socket
	Paused    bool   // wait for gdb before the first instruction
	Budget    Budget // zero fields take the target's defaults
}

// Budget bounds a guest. Times are CPU time of the QEMU process, which a busy
// host does not change; the wall clock gets WallFactor times as much.
type Budget struct {
	Boot time.Duration // from start to Hello
	Run  time.Duration // from start to the end of a measured guest; 0 = unbounded
}

// WallFactor turns CPU time into the wall time after which a guest that burns
// nothing counts as hung.
const WallFactor = 10

// Instance is one guest.
type Instance interface {
	Name() string
	Token() string
	Target() string
	State() State
	Hello() abi.Hello        // zero until ready
	BootHost() time.Duration // wall time from start to Hello
	CPUTime() time.Duration  // of the QEMU process so far
	Control() *guest.Client
	// Messages is a subscription from the guest's first byte on, Hello included.
	// One reader; whoever does not need it leaves it alone.
	Messages() *guest.Stream
	Console() []byte // the latest of what it printed
	// Frames is the other end of the guest's network card, for guests started
	// with Spec.Frames: whole Ethernet frames without checksum. receive is closed
	// when the guest has ended; what nobody reads is dropped, the newest first.
	Frames() (send func(frame []byte) error, receive <-chan []byte)
	// SetLink pulls the cable out of that card, or puts it back.
	SetLink(ctx context.Context, up bool) error
	GDBSocket() string
	Registers(ctx context.Context) (string, error)

	// SetBusy tells the watcher that the guest has work, so that CPU time is no
	// sign of spinning.
	SetBusy(busy bool)
	// Done is closed when the guest has ended for whatever reason.
	Done() <-chan struct{}
	// Err is nil while it runs or after it powered off or was stopped; otherwise
	// a *DeathError.
	Err() error
	// Stop ends the guest at once and waits until it is gone. It may be called
	// any number of times.
	Stop() error
}

// Pool starts guests.
type Pool interface {
	// Start waits for a free slot, boots a guest and returns it ready, or a
	// *BootError with the console attached.
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Limit is the number of guests that may run at once.
	Limit() int
	// Close stops all guests of the pool.
	Close() error
}

// BootError says that a guest never became ready.
type BootError struct {
	Name, Target string
	Cause        error
	Console      []byte // the end of what it printed
	Registers    string // of all CPUs, when it hung and could be asked
	CPU, Wall    time.Duration
}

func (e *BootError) Error() string {
	return fmt.Sprintf("guest %s (%s) did not become ready: %v (%.1f CPU-s, %.1f s)%s",
		e.Name, e.Target, e.Cause, e.CPU.Seconds(), e.Wall.Seconds(), attachments(e.Console, e.Registers))
}

func (e *BootError) Unwrap() error { return e.Cause }

// DeathError says that a guest that was ready ended badly.
type DeathError struct {
	Name, Target string
	Cause        error
	Console      []byte
	Registers    string
	CPU, Wall    time.Duration
}

func (e *DeathError) Error() string {
	return fmt.Sprintf("guest %s (%s): %v (%.1f CPU-s, %.1f s)%s",
		e.Name, e.Target, e.Cause, e.CPU.Seconds(), e.Wall.Seconds(), attachments(e.Console, e.Registers))
}

func (e *DeathError) Unwrap() error { return e.Cause }

// consoleLinesShown of a console fit an error message; the rest is in the field.
const consoleLinesShown = 20

func attachments(console []byte, registers string) string {
	var b strings.Builder
	if text := strings.TrimRight(string(console), "\r\n"); text != "" {
		lines := strings.Split(text, "\n")
		if len(lines) > consoleLinesShown {
			lines = lines[len(lines)-consoleLinesShown:]
		}
		b.WriteString("\n--- console")
		for _, line := range lines {
			b.WriteString("\n  " + strings.TrimRight(line, "\r"))
		}
	} else {
		b.WriteString("\n--- console: empty")
	}
	if registers != "" {
		b.WriteString("\n--- registers\n" + strings.TrimRight(registers, "\r\n"))
	}
	return b.String()
}
