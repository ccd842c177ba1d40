package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// execVerb runs a program in a fresh guest.
type execVerb struct {
	Target string   `default:"linux" help:"go-kernel, linux-6.12 (linux) or linux-6.1."`
	CPUs   int      `name:"cpus" default:"1" help:"CPUs of the guest."`
	Memory int      `default:"1024" help:"Memory of the guest in MiB."`
	Put    []string `help:"More files for the guest, as HOSTPATH:GUESTPATH." placeholder:"FILE"`
	Env    []string `help:"Environment of the program, as NAME=VALUE." placeholder:"NAME=VALUE" sep:"none"`
	Args   []string `arg:"" optional:"" name:"cmd" passthrough:"" help:"-- CMD ARGS: a static linux/arm64 program on this machine, and its arguments."`
}

func (execVerb) Help() string {
	return `Boots a guest, puts the program into it, runs it with stdin, stdout and
stderr connected, and exits with its exit code. The lab's own failures exit 125
with a line "lab: ..." on stderr.

Example:

  lab exec --target linux -- ./hello.arm64 -v
  GOARCH=arm64 CGO_ENABLED=0 go test -exec "lab exec --target linux --" ./...`
}

// execFailed is the exit code of the lab's own failures: what env(1) and
// docker(1) use, and no test binary.
const execFailed = 125

func (v execVerb) Run(e *env) error {
	code, err := v.run(e)
	if err != nil {
		return &verdictError{code: execFailed, cause: err}
	}
	if code == 0 {
		return nil
	}
	return exitWith(code)
}

func (v execVerb) run(e *env) (int, error) {
	arguments := v.Args
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		return 0, errors.New("no program given: lab exec --target linux -- CMD ARGS")
	}
	target, err := fleet.CanonicalTarget(v.Target)
	if err != nil {
		return 0, err
	}
	if !fleet.IsLinux(target) {
		return 0, fmt.Errorf("%s does not run programs yet: use --target linux", target)
	}
	binary, err := filepath.Abs(arguments[0])
	if err != nil {
		return 0, err
	}
	pool, err := qemu.Open(e.State, 0)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	machine, err := pool.Start(e.ctx, fleet.Spec{Target: target, CPUs: v.CPUs, MemoryMiB: v.Memory, Seed: e.Seed})
	if err != nil {
		return 0, err
	}
	machine.SetBusy(true)
	remote := path.Join("/tmp", filepath.Base(binary))
	for _, file := range append([]string{binary + ":" + remote}, v.Put...) {
		if err := putFile(e, machine, file); err != nil {
			return 0, err
		}
	}
	return runIn(e, machine, arguments[0], guest.ExecRequest{Path: remote, Arguments: arguments[1:], Environment: v.Env, Directory: "/tmp"})
}

// runIn runs the program; name is what the caller called it.
func runIn(e *env, machine fleet.Instance, name string, request guest.ExecRequest) (int, error) {
	exit, err := machine.Control().Exec(e.ctx, request, e.stdin, e.stdout, e.stderr)
	switch {
	case e.ctx.Err() != nil:
		return 0, errors.New("interrupted")
	case err != nil:
		<-machine.Done()
		if death := machine.Err(); death != nil {
			return 0, death
		}
		return 0, err
	case exit.ExitCode == -1 && exit.Signal == int32(syscall.ENOEXEC):
		return 0, fmt.Errorf("%s is not a linux/arm64 program (build it with GOARCH=arm64 CGO_ENABLED=0)", name)
	case exit.ExitCode == -1 && exit.Signal == int32(syscall.ENOENT):
		return 0, fmt.Errorf("%s does not start: it needs a dynamic loader the guest does not have; link it statically", name)
	case exit.ExitCode == -1:
		return 0, fmt.Errorf("%s does not start: %w", name, syscall.Errno(exit.Signal))
	}
	return int(exit.ExitCode), nil
}

// putFile copies HOST:GUEST into the machine, with the host file's mode.
func putFile(e *env, machine fleet.Instance, pair string) error {
	host, remote, ok := cutLast(pair, ':')
	if !ok || !path.IsAbs(remote) {
		return fmt.Errorf("%q is not HOSTPATH:/GUEST/PATH", pair)
	}
	file, err := os.Open(host)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder: give files", host)
	}
	var refused *guest.RefusedError
	err = machine.Control().PutFile(e.ctx, remote, uint32(info.Mode().Perm()), file)
	if errors.As(err, &refused) && refused.Code == abi.ErrNoSpace {
		return fmt.Errorf("%s (%d bytes) does not fit the guest: give it more with --memory", host, info.Size())
	}
	return err
}

func cutLast(s string, separator byte) (before, after string, found bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == separator {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
