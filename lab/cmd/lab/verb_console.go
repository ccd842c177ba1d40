package main

import (
	"io"
)

// consoleVerb attaches to a guest's serial port.
type consoleVerb struct {
	Name string `arg:"" optional:"" help:"Guest of lab status; default the first of ours."`
	Once bool   `help:"Print what there is and stop."`
}

func (consoleVerb) Help() string {
	return "Prints all the guest said so far, then what it says, until it ends or Ctrl-C.\nWhat is typed goes to the guest.\n\nExample:\n\n  lab console go-kernel-1 --once | tail"
}

func (v consoleVerb) Run(e *env) error {
	registry, entry, err := findGuest(e, v.Name)
	if err != nil {
		return err
	}
	if v.Once {
		text, err := consoleLog(registry, entry)
		if err != nil {
			return infra("%w", err)
		}
		e.printf("%s", text)
		return e.document(map[string]any{"name": entry.Name, "console": string(text)})
	}
	if e.JSON {
		return usage("--json needs --once: a live console has no end")
	}
	conn, err := dialGuest(registry, entry, consoleSocket)
	if err != nil {
		return err
	}
	defer conn.Close()
	go io.Copy(conn, e.stdin) // ends with the process, or with the connection
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(e.stdout, conn)
		ended <- err
	}()
	select {
	case <-e.ctx.Done():
		return nil
	case err := <-ended:
		e.logf("guest %s ended", entry.Name)
		if err != nil {
			return infra("console of %s: %w", entry.Name, err)
		}
		return nil
	}
}
