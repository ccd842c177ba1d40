package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// instance is one QEMU process. Its life: start, waitReady, then watch until
// the process has ended for whatever reason; finish runs exactly once and
// closes done.
type instance struct {
	spec     fleet.Spec
	entry    fleet.Entry
	registry *fleet.Registry
	paths    paths
	process  *os.Process

	control  *guest.Client
	messages *guest.Stream
	console  *console
	wire     *wire // nil without Spec.Frames
	qemuSays *tail // stderr of the process
	started  time.Time

	exited chan struct{} // the process has ended and exitErr is set
	done   chan struct{} // everything about it is settled

	exitErr error

	mutex     sync.Mutex
	state     fleet.State
	hello     abi.Hello
	bootHost  time.Duration
	cpu       time.Duration // last seen; kept after the end
	err       error
	registers string // taken before a guest was killed for hanging
	cause     error  // why the lab killed it; nil when it ended by itself
	busy      bool
	qmp       *monitor
	listeners []net.Listener
}

var _ fleet.Instance = (*instance)(nil)

// tail keeps the end of what QEMU itself says.
type tail struct {
	mutex sync.Mutex
	text  []byte
}

const tailKept = 4 << 10

func (t *tail) Write(text []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.text = append(t.text, text...)
	if len(t.text) > tailKept {
		t.text = bytes.Clone(t.text[len(t.text)-tailKept:])
	}
	return len(text), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(bytes.TrimSpace(t.text))
}

// start makes the channels, enters the guest in the registry and starts QEMU.
func start(registry *fleet.Registry, qemu string, spec fleet.Spec) (_ *instance, err error) {
	entry, err := registry.New(spec.Name, spec.Target)
	if err != nil {
		return nil, err
	}
	entry.Kernel, entry.Symbols = spec.Kernel, spec.Symbols
	g := &instance{spec: spec, entry: entry, registry: registry, paths: paths{registry.GuestDir(entry.Token)},
		qemuSays: &tail{}, state: fleet.StateStarting, exited: make(chan struct{}), done: make(chan struct{})}
	defer func() {
		if err != nil {
			registry.Remove(entry.Token)
		}
	}()
	if err := writeInitrd(g.paths.initrd(), spec); err != nil {
		return nil, err
	}
	channels, theirs, err := makeChannels(g.paths, spec.Frames)
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs)
	command := exec.Command(qemu, arguments(spec, entry.Token, g.paths)...)
	command.ExtraFiles = theirs
	command.Stdout, command.Stderr = g.qemuSays, g.qemuSays
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // Ctrl-C is the lab's to handle
		Pdeathsig: syscall.SIGKILL, // no orphan survives the lab
	}
	g.started = time.Now()
	if err := g.supervise(command); err != nil {
		channels.close()
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	g.listen(channels)
	g.entry.PID = g.process.Pid
	if g.entry.PIDStart, err = fleet.ProcessStart(g.process.Pid); err == nil {
		err = registry.Put(g.entry)
	}
	if err != nil { // dead already, or the registry is not writable: do not let it run unseen
		g.process.Kill()
		<-g.exited
		return nil, fmt.Errorf("%w: %s", err, g.qemuSays)
	}
	go g.watch()
	return g, nil
}

// listen begins to read the channels. The subscription comes in the same
// breath as the client, before the guest can have said anything.
func (g *instance) listen(channels labEnds) {
	if oneChannel(g.spec) {
		channels.control.Close()
		control, text := split(channels.console)
		g.control, g.console = guest.NewClient(control), newConsole(text)
	} else {
		g.control, g.console = guest.NewClient(channels.control), newConsole(channels.console)
	}
	g.messages = g.control.Stream()
	if channels.frames != nil {
		g.wire = newWire(channels.frames)
	}
}

// supervise starts the process and waits for it on one locked thread: the
// parent-death signal is bound to the thread that started the child, which Go
// would otherwise be free to end.
func (g *instance) supervise(command *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := command.Start(); err != nil {
			started <- err
			return
		}
		g.process = command.Process
		started <- nil
		g.exitErr = command.Wait()
		g.noteCPU(command.ProcessState.UserTime() + command.ProcessState.SystemTime())
		close(g.exited)
	}()
	return <-started
}

// writeInitrd puts together what -initrd gets: ours takes the bare job, Linux
// its file system followed by an archive with /job.
func writeInitrd(path string, spec fleet.Spec) error {
	if spec.Initramfs == "" {
		if len(spec.Job) == 0 {
			return nil
		}
		return os.WriteFile(path, spec.Job, 0o600)
	}
	if len(spec.Job) == 0 {
		absolute, err := filepath.Abs(spec.Initramfs)
		if err != nil {
			return err
		}
		return os.Symlink(absolute, path)
	}
	base, err := os.ReadFile(spec.Initramfs)
	if err != nil {
		return err
	}
	return os.WriteFile(path, guest.AppendCPIOFile(base, "job", 0o400, spec.Job), 0o600)
}

// labEnds are the lab's ends of the guest's channels.
type labEnds struct{ control, console, frames *os.File }

func (e labEnds) close() {
	for _, end := range []*os.File{e.control, e.console, e.frames} {
		if end != nil {
			end.Close()
		}
	}
}

// makeChannels returns our ends and, in the order of the descriptor numbers in
// arguments.go, QEMU's.
func makeChannels(p paths, frames bool) (ours labEnds, theirs []*os.File, err error) {
	defer func() {
		if err != nil {
			ours.close()
			closeAll(theirs)
		}
	}()
	for _, mine := range []**os.File{&ours.control, &ours.console} {
		if theirs, err = appendPair(theirs, mine); err != nil {
			return ours, theirs, err
		}
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.qmp(), Net: "unix"})
	if err != nil {
		return ours, theirs, err
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	listener.Close()
	if err != nil {
		return ours, theirs, err
	}
	theirs = append(theirs, file)
	if frames {
		theirs, err = appendPair(theirs, &ours.frames)
	}
	return ours, theirs, err
}

// appendPair makes one socket pair: one end ours, the other theirs.
func appendPair(theirs []*os.File, mine **os.File) ([]*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return theirs, err
	}
	unix.SetNonblock(pair[0], true) // lets Close end a blocked Read
	*mine = os.NewFile(uintptr(pair[0]), "lab end")
	return append(theirs, os.NewFile(uintptr(pair[1]), "guest end")), nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// waitReady returns nil once the guest said Hello, else a BootError.
func (g *instance) waitReady(ctx context.Context) error {
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a guest that ends while it boots ends the wait
		select {
		case <-g.done:
			cancel()
		case <-ready.Done():
		}
	}()
	hello, err := g.control.Hello(ready)
	if err == nil {
		g.greet(hello)
		g.serve()
		return nil
	}
	if ctx.Err() != nil {
		g.end(ctx.Err())
	}
	select {
	case <-g.done:
	case <-time.After(exitGrace):
		g.end(errors.New("closed its control channel and went on running"))
		<-g.done
	}
	return g.bootError()
}

// exitGrace is how long a process may take to end after its channel closed.
const exitGrace = 5 * time.Second

func (g *instance) greet(hello abi.Hello) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.hello, g.bootHost = hello, time.Since(g.started)
	if g.state == fleet.StateStarting {
		g.state = fleet.StateReady
	}
	g.entry.BootInsn = hello.BootInsnCPU0
	g.entry.BootHostMS = float64(g.bootHost.Microseconds()) / 1000
	g.record()
}

// record brings the registry up to date; the mutex is held. A registry that
// cannot be written any more costs `lab status`, not the guest.
func (g *instance) record() {
	if g.registered() {
		g.entry.State, g.entry.Spinning = g.state, g.state == fleet.StateSpinning
		_ = g.registry.Put(g.entry)
	}
}

// registered says that finish has not removed the entry yet; the mutex is held.
func (g *instance) registered() bool {
	select {
	case <-g.done:
		return false
	default:
		return true
	}
}

// serve opens the sockets that let other processes attach to a live guest.
func (g *instance) serve() {
	if g.spec.Mode == fleet.Measured {
		return
	}
	serveOn(g, g.paths.console(), g.console.attach)
	serveOn(g, g.paths.tap(), func(conn net.Conn) { _ = g.control.Tap(context.Background(), conn) })
}

func serveOn(g *instance, path string, handle func(net.Conn)) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return // nobody can attach; the guest itself is well
	}
	g.mutex.Lock()
	g.listeners = append(g.listeners, listener)
	g.mutex.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(conn)
		}
	}()
}

// end kills the process for a reason; the first reason stays.
func (g *instance) end(cause error) {
	g.mutex.Lock()
	if g.cause == nil {
		g.cause = cause
	}
	g.mutex.Unlock()
	_ = g.process.Kill() // "already finished" is what we want
}

// finish settles how a guest ended, once its process and channels are gone.
func (g *instance) finish() {
	for _, closed := range []<-chan struct{}{g.control.Done(), g.console.done} {
		select { // the ends of our pairs close with the process; what was sent is read first
		case <-closed:
		case <-time.After(exitGrace):
		}
	}
	_ = g.control.Close()
	if g.wire != nil {
		g.wire.file.Close()
	}
	if closer, ok := g.console.port.(io.Closer); ok {
		closer.Close()
	}
	g.mutex.Lock()
	for _, listener := range g.listeners {
		listener.Close()
	}
	if g.qmp != nil {
		g.qmp.close()
	}
	cause := g.endCause()
	switch {
	case errors.Is(cause, errStopped):
		g.state = fleet.StateStopped
	case cause == nil:
		g.state = fleet.StateDone
	default:
		g.state = fleet.StateFailed
		g.err = &fleet.DeathError{Name: g.spec.Name, Target: g.spec.Target, Cause: cause, Console: g.console.text(),
			Registers: g.registers, CPU: g.cpu, Wall: time.Since(g.started)}
	}
	_ = g.registry.Remove(g.entry.Token) // what is left behind, the next `lab down` removes
	close(g.done)
	g.mutex.Unlock()
}

// errStopped is the cause of an end that was asked for.
var errStopped = errors.New("stopped by the lab")

// endCause says why the guest ended; nil means that it powered itself off in
// order. The mutex is held.
func (g *instance) endCause() error {
	if line, _, ok := g.console.panicked(); ok {
		return fmt.Errorf("the guest's kernel panicked: %s", line)
	}
	if g.cause != nil {
		return g.cause
	}
	if g.exitErr != nil {
		return fmt.Errorf("%s ended with %w: %s", program, g.exitErr, g.qemuSays)
	}
	return nil
}

func (g *instance) bootError() error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	boot := &fleet.BootError{Name: g.spec.Name, Target: g.spec.Target, Console: g.console.text(),
		Registers: g.registers, CPU: g.cpu, Wall: time.Since(g.started)}
	if boot.Cause = g.endCause(); boot.Cause == nil {
		boot.Cause = errors.New("it powered off before it was ready")
	}
	return boot
}
