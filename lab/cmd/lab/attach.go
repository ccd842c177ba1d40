package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// Verbs that look into a guest another lab holds reach it through the sockets
// in its folder of the registry (lab/fleet/registry.go).

const (
	consoleSocket = "c"
	tapSocket     = "t"
	gdbSocket     = "g"
)

// findGuest returns the named guest, or the only one that fits when no name was
// given: ours before Linux.
func findGuest(e *env, name string) (*fleet.Registry, fleet.Entry, error) {
	registry, err := fleet.OpenRegistry(e.State)
	if err != nil {
		return nil, fleet.Entry{}, infra("%w", err)
	}
	if name == "" {
		if name, err = defaultGuest(registry); err != nil {
			return nil, fleet.Entry{}, err
		}
	}
	entry, err := registry.Find(name)
	if err != nil {
		return nil, fleet.Entry{}, usage("%w", err)
	}
	return registry, entry, nil
}

func defaultGuest(registry *fleet.Registry) (string, error) {
	entries, err := registry.Entries()
	if err != nil {
		return "", infra("%w", err)
	}
	name := ""
	for _, entry := range entries {
		if entry.Alive() && (name == "" || entry.Target == fleet.TargetOurs) {
			name = entry.Token
			if entry.Target == fleet.TargetOurs {
				break
			}
		}
	}
	if name == "" {
		return "", usage("nothing runs: lab up starts a fleet")
	}
	return name, nil
}

// dialGuest connects to one of the guest's sockets.
func dialGuest(registry *fleet.Registry, entry fleet.Entry, socket string) (net.Conn, error) {
	if !entry.OwnerAlive() {
		return nil, infra("guest %s: the lab that held it is gone; lab down clears what is left", entry.Name)
	}
	conn, err := net.Dial("unix", filepath.Join(registry.GuestDir(entry.Token), socket))
	if err != nil {
		return nil, infra("guest %s cannot be attached to (only live, ready guests can): %w", entry.Name, err)
	}
	return conn, nil
}

// consoleLog is everything a guest printed, from its file.
func consoleLog(registry *fleet.Registry, entry fleet.Entry) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(registry.GuestDir(entry.Token), "console.log"))
	if err != nil {
		return nil, fmt.Errorf("console of %s: %w", entry.Name, err)
	}
	return text, nil
}
