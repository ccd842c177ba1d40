package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// traceVerb prints what a live guest decides, and each packet's event.
type traceVerb struct {
	Name    string        `arg:"" optional:"" help:"Guest of lab status; default the first of ours."`
	For     time.Duration `help:"Stop after this long; default until Ctrl-C or the guest's end." placeholder:"DURATION"`
	Count   int           `help:"Stop after this many items." placeholder:"N"`
	Records bool          `help:"Decisions only, no packet events."`
}

func (traceVerb) Help() string {
	return "Records are steps of the kernel's pipeline; events are packets at a hook.\n\nExample:\n\n  lab trace go-kernel-1 --for 5s\n  lab trace --records --count 20 --json"
}

// traceDocument is what --json prints.
type traceDocument struct {
	Name     string           `json:"name"`
	Records  []recordRow      `json:"records"`
	Events   []abi.NetRXEvent `json:"events"`
	Programs []programRow     `json:"programs"`
	Lost     uint64           `json:"lost"`
}

type recordRow struct {
	Sequence    uint64    `json:"sequence"`
	TimeNS      uint64    `json:"time_ns"`
	CPU         uint8     `json:"cpu"`
	Stage       string    `json:"stage"`
	Verdict     string    `json:"verdict"`
	Code        string    `json:"code"`
	Candidate   string    `json:"candidate"`
	SlotVersion uint32    `json:"slot_version"`
	Instruction int32     `json:"instruction"`
	Values      [8]uint64 `json:"values"`
}

type programRow struct {
	Digest string `json:"digest"`
	Text   string `json:"text"`
}

func rowOf(r abi.Record) recordRow {
	return recordRow{Sequence: r.Sequence, TimeNS: r.TimeNS, CPU: r.CPU, Stage: r.Stage.String(), Verdict: r.Verdict.String(),
		Code: r.Code.String(), Candidate: fmt.Sprintf("%x", r.Candidate), SlotVersion: r.SlotVersion,
		Instruction: r.Instruction, Values: r.Values}
}

func (v traceVerb) Run(e *env) error {
	registry, entry, err := findGuest(e, v.Name)
	if err != nil {
		return err
	}
	conn, err := dialGuest(registry, entry, tapSocket)
	if err != nil {
		return err
	}
	client := guest.NewClient(conn)
	defer client.Close()
	stream := client.Stream()
	ctx := e.ctx
	if v.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.For)
		defer cancel()
	}
	if !v.Records {
		if err := client.Trace(); err != nil {
			return infra("%w", err)
		}
	}
	document := traceDocument{Name: entry.Name, Records: []recordRow{}, Events: []abi.NetRXEvent{}, Programs: []programRow{}}
	if err := v.follow(ctx, e, stream, &document); err != nil {
		return infra("guest %s: %w", entry.Name, err)
	}
	document.Lost = stream.Lost()
	return e.document(document)
}

// follow collects until the limit; the end of the guest or of the time is no
// error.
func (v traceVerb) follow(ctx context.Context, e *env, stream *guest.Stream, document *traceDocument) error {
	for seen := 0; v.Count == 0 || seen < v.Count; {
		m, err := stream.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, guest.ErrClosed) {
			return nil //nolint:nilerr // the end that was asked for
		}
		if err != nil {
			return err
		}
		for _, record := range guest.Records(m) {
			row := rowOf(record)
			document.Records = append(document.Records, row)
			e.printf("%14d ns cpu%d %-9s %-11s %-14s %.12s slot %d insn %d %v\n", row.TimeNS, row.CPU, row.Stage, row.Verdict,
				row.Code, row.Candidate, row.SlotVersion, row.Instruction, row.Values)
			seen++
		}
		if program, ok := guest.ReadProgram(m); ok {
			document.Programs = append(document.Programs, programRow{fmt.Sprintf("%x", program.Digest), program.Text})
			e.printf("program %x\n%s\n", program.Digest[:6], program.Text)
			seen++
		}
		if !v.Records {
			for _, event := range guest.Events(m) {
				document.Events = append(document.Events, event)
				e.printf("%14d ns cpu%d packet %d: %d bytes, action %d, %v, cost %d, slot %d, flags %#x\n", event.TimeNS, event.CPU,
					event.Sequence, event.PacketBytes, event.Action, event.Outcome, event.CostInsn, event.SlotVersion, event.Flags)
				seen++
			}
		}
		if m.Kind == abi.MessageLog {
			e.printf("log %s\n", m.Payload)
		}
	}
	return nil
}
