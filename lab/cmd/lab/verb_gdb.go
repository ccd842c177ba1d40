package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/guest"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// gdbVerb connects a debugger to a guest's stub.
type gdbVerb struct {
	Name  string `arg:"" optional:"" help:"Guest of lab status; default the first of ours."`
	Print bool   `help:"Print the command line and stop."`
	Boot  string `placeholder:"TARGET" help:"Start a fresh guest that waits before its first instruction, print the command line and keep it until it ends."`
}

func (gdbVerb) Help() string {
	return "Runs gdb-multiarch with the guest's symbols on its stub (a unix socket).\n\nExample:\n\n  lab gdb go-kernel-1\n  lab gdb --boot go-kernel    # in one terminal; it prints what to run in another"
}

func (v gdbVerb) Run(e *env) error {
	if v.Boot != "" {
		return v.boot(e)
	}
	registry, entry, err := findGuest(e, v.Name)
	if err != nil {
		return err
	}
	socket := filepath.Join(registry.GuestDir(entry.Token), gdbSocket)
	if _, err := os.Stat(socket); err != nil {
		return usage("guest %s has no gdb stub: only guests of lab up and of lab gdb --boot have one", entry.Name)
	}
	command := gdbCommand(socket, entry.Symbols)
	if v.Print || e.JSON {
		e.printf("%s\n", shellLine(command))
		return e.document(map[string]any{"name": entry.Name, "socket": socket, "symbols": entry.Symbols, "command": command})
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return infra("%s is not installed (apt-get install gdb-multiarch); any gdb for aarch64 can do:\n%s", command[0], shellLine(command))
	}
	return infra("%s: %w", path, syscall.Exec(path, command, os.Environ()))
}

func gdbCommand(socket, symbols string) []string {
	command := []string{"gdb-multiarch", "-q", "-ex", "set architecture aarch64", "-ex", "target remote " + socket}
	if symbols != "" {
		command = append(command, symbols)
	}
	return command
}

func shellLine(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = word
		if strings.ContainsAny(word, " '\"$") {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// boot starts a paused guest and waits for its end. The live job lets ours come
// up without traffic.
func (v gdbVerb) boot(e *env) error {
	target, err := fleet.CanonicalTarget(v.Boot)
	if err != nil {
		return usage("%w", err)
	}
	pool, err := qemu.Open(e.State, 0)
	if err != nil {
		return infra("%w", err)
	}
	defer pool.Close()
	spec := fleet.Spec{Name: "gdb", Target: target, Paused: true, Seed: e.Seed}
	if !fleet.IsLinux(target) {
		if spec.Job, err = guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive, Seed: e.Seed}); err != nil {
			return infra("%w", err)
		}
	}
	e.logf("a %s guest named gdb waits before its first instruction; in another terminal: lab gdb gdb\nCtrl-C here ends it", target)
	machine, err := pool.Start(e.ctx, spec)
	if e.ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return infra("%w", err)
	}
	e.logf("ready; Ctrl-C ends it")
	select {
	case <-e.ctx.Done():
		return nil
	case <-machine.Done():
	}
	if err := machine.Err(); err != nil {
		return fail("%w", err)
	}
	return nil
}
