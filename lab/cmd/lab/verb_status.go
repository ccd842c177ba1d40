package main

import (
	"github.com/kingly-os/go-kernel/lab/fleet"
)

// statusVerb lists the guests of the state directory.
type statusVerb struct{}

func (statusVerb) Help() string {
	return "Example:\n\n  lab status\n  lab status --json | jq .fleet"
}

// fleetRow is one guest in every document that has a fleet.
type fleetRow struct {
	Name       string      `json:"name"`
	Target     string      `json:"target"`
	State      fleet.State `json:"state"`
	BootInsn   uint64      `json:"boot_insn"`
	BootHostMS float64     `json:"boot_host_ms"`
	PID        int         `json:"pid"`
	OwnerAlive bool        `json:"owner_alive"`
}

func (statusVerb) Run(e *env) error {
	registry, err := fleet.OpenRegistry(e.State)
	if err != nil {
		return infra("%w", err)
	}
	entries, err := registry.Entries()
	if err != nil {
		return infra("%w", err)
	}
	rows := []fleetRow{}
	for _, entry := range entries {
		row := fleetRow{Name: entry.Name, Target: entry.Target, State: entry.State, BootInsn: entry.BootInsn,
			BootHostMS: entry.BootHostMS, PID: entry.PID, OwnerAlive: entry.OwnerAlive()}
		if !entry.Alive() {
			row.State = fleet.StateFailed
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		e.printf("nothing runs (state directory %s)\n", registry.Dir())
	} else {
		e.printf("%-16s %-11s %-9s %12s %10s %8s\n", "NAME", "TARGET", "STATE", "BOOT INSN", "BOOT MS", "PID")
	}
	for _, row := range rows {
		e.printf("%-16s %-11s %-9s %12d %10.0f %8d\n", row.Name, row.Target, row.State, row.BootInsn, row.BootHostMS, row.PID)
	}
	return e.document(map[string]any{"fleet": rows, "state_directory": registry.Dir()})
}
