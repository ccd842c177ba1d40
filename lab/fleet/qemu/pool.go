// Package qemu runs guests as QEMU processes under emulation.
//
// Invariants: both ends of every channel exist before the process does, so
// nothing a guest says is lost and nobody waits for a socket to appear; a guest
// is entered in the registry before it starts; QEMU is told by the kernel to
// die with the lab; every exit path frees the slot.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// program is the emulator for every target.
const program = "qemu-system-aarch64"

// guestsPerCore running at once: two to four per core stay responsive; more
// only take turns.
const guestsPerCore = 2

// Pool implements fleet.Pool.
type Pool struct {
	registry  *fleet.Registry
	artefacts fleet.Artefacts
	qemu      string
	slots     chan struct{}

	mutex  sync.Mutex
	guests map[*instance]struct{}
	closed bool
	made   int
}

var _ fleet.Pool = (*Pool)(nil)

// NewPool makes a pool over a registry. A limit of 0 means cores x 2.
func NewPool(registry *fleet.Registry, artefacts fleet.Artefacts, limit int) (*Pool, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: apt-get install --no-install-recommends qemu-system-arm", program)
	}
	if limit <= 0 {
		limit = guestsPerCore * runtime.NumCPU()
	}
	return &Pool{registry: registry, artefacts: artefacts, qemu: path,
		slots: make(chan struct{}, limit), guests: map[*instance]struct{}{}}, nil
}

// Open finds the artefacts, opens the state directory and makes a pool: what
// every verb and suite begins with.
func Open(state string, limit int) (*Pool, error) {
	artefacts, err := fleet.FindArtefacts()
	if err != nil {
		return nil, err
	}
	registry, err := fleet.OpenRegistry(state)
	if err != nil {
		return nil, err
	}
	return NewPool(registry, artefacts, limit)
}

// Limit is the number of guests that may run at once.
func (p *Pool) Limit() int { return cap(p.slots) }

// Artefacts are the files this pool starts guests from.
func (p *Pool) Artefacts() fleet.Artefacts { return p.artefacts }

// Start implements fleet.Pool.
func (p *Pool) Start(ctx context.Context, spec fleet.Spec) (fleet.Instance, error) {
	if err := p.complete(&spec); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	guest, err := p.launch(spec)
	if err != nil {
		<-p.slots
		return nil, &fleet.BootError{Name: spec.Name, Target: spec.Target, Cause: err}
	}
	go func() { // the slot is free as soon as the guest has ended, however it did
		<-guest.done
		p.mutex.Lock()
		delete(p.guests, guest)
		p.mutex.Unlock()
		<-p.slots
	}()
	if err := guest.waitReady(ctx); err != nil {
		return nil, err
	}
	return guest, nil
}

// launch starts the process under the pool's lock, so that Close misses none.
func (p *Pool) launch(spec fleet.Spec) (*instance, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return nil, errors.New("the pool is closed")
	}
	guest, err := start(p.registry, p.qemu, spec)
	if err != nil {
		return nil, err
	}
	p.guests[guest] = struct{}{}
	return guest, nil
}

// Close stops all guests and accepts no more.
func (p *Pool) Close() error {
	p.mutex.Lock()
	p.closed = true
	guests := make([]*instance, 0, len(p.guests))
	for guest := range p.guests {
		guests = append(guests, guest)
	}
	p.mutex.Unlock()
	var failures []error
	for _, guest := range guests {
		failures = append(failures, guest.Stop())
	}
	return errors.Join(failures...)
}

// Defaults of a Spec per target. Boot budgets are about ten times what a boot
// takes (0.03 CPU-s ours, 2 CPU-s Linux, measured 2026-11) plus what code
// translation costs a loaded machine.
const (
	memoryOursMiB  = 128
	memoryLinuxMiB = 256
	bootOurs       = 10 * time.Second
	bootLinux      = 40 * time.Second
	runMeasured    = 300 * time.Second
	cpusMax        = 8
)

// Flags are the flags of a guest as a fingerprint names them: all that shapes
// what is measured, without the names of one host's files.
func (p *Pool) Flags(spec fleet.Spec) (string, error) {
	spec.Name = "flags"
	if err := p.complete(&spec); err != nil {
		return "", err
	}
	spec.Kernel = "KERNEL"
	return strings.Join(arguments(spec, "TOKEN", paths{dir: "DIR"}), " "), nil
}

// complete checks a spec and fills in what it leaves open.
func (p *Pool) complete(spec *fleet.Spec) error {
	target, err := fleet.CanonicalTarget(spec.Target)
	if err != nil {
		return err
	}
	spec.Target = target
	linux := fleet.IsLinux(target)
	boot, memory := bootOurs, memoryOursMiB
	if linux {
		boot, memory = bootLinux, memoryLinuxMiB
	}
	setDefault(&spec.Kernel, p.artefacts.Kernel(target))
	setDefault(&spec.Initramfs, p.artefacts.Initramfs(target))
	setDefault(&spec.Symbols, p.artefacts.Symbols(target))
	setDefault(&spec.CPUs, 1)
	setDefault(&spec.MemoryMiB, memory)
	setDefault(&spec.Budget.Boot, boot)
	if spec.Mode == fleet.Measured {
		setDefault(&spec.Budget.Run, runMeasured)
	}
	if spec.CPUs < 1 || spec.CPUs > cpusMax {
		return fmt.Errorf("%d CPUs: 1 to %d", spec.CPUs, cpusMax)
	}
	p.mutex.Lock()
	p.made++
	setDefault(&spec.Name, fmt.Sprintf("%s-%d", target, p.made))
	p.mutex.Unlock()
	for _, path := range []string{spec.Kernel, spec.Initramfs} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not built: %w (build it with: %s)", target, err, p.artefacts.BuildCommand(target))
		}
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
