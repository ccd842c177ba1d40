package loop

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/fleet"
)

// LiveGuest is a running kernel as the crew uses it; guest.Client is one.
type LiveGuest interface {
	Install(ctx context.Context, hook abi.HookID, flags uint32, program []byte, expected abi.Digest) (abi.InstallReply, error)
	Traffic(ctx context.Context, request abi.TrafficRequest) (abi.InstallReply, error)
}

// Crew is the standing fleet of our kernels. It measures nothing: it receives
// winners by hot swap, and each kernel's own canary and monitor keep or undo
// them. In the last guest the traffic turns after the winner was kept, so that
// every campaign also sees a program taken back, or not, when its reason goes.
type Crew struct {
	names  []string
	guests map[string]LiveGuest
	seed   uint64

	// Patience with one guest, in host time: live guests run on the host's clock.
	Patience time.Duration

	mutex sync.Mutex
	heard map[string]chan abi.Record // while somebody waits for this guest's word
}

const (
	livePatience     = 20 * time.Second
	quietIntervalNS  = 4_000_000 // between packets on each CPU: light, as guests share the host
	busyIntervalNS   = 150_000   // while a program is tried: fills the kernel's window of 1024 events in its 50 ms
	livePacketsMax   = 1 << 30
	heardRecordsMax  = 4096
	installTriesMax  = 3
	turnedWordsLimit = 5 * time.Second // for a monitor to speak after the traffic turned
)

// NewCrew makes a crew of named guests.
func NewCrew(seed uint64) *Crew {
	return &Crew{guests: map[string]LiveGuest{}, heard: map[string]chan abi.Record{}, seed: seed, Patience: livePatience}
}

// CrewOf makes a crew of a fleet's own kernels.
func CrewOf(f *fleet.Fleet, seed uint64) *Crew {
	c := NewCrew(seed)
	for _, machine := range f.Ours() {
		machine.SetBusy(true)
		c.Add(machine.Name(), machine.Control())
	}
	return c
}

// Add puts a guest on the list; the order of calls is kept.
func (c *Crew) Add(name string, g LiveGuest) {
	c.names = append(c.names, name)
	c.guests[name] = g
}

// Hear takes one record of a guest. Whoever reads the guests' streams calls it.
func (c *Crew) Hear(name string, record abi.Record) {
	c.mutex.Lock()
	heard := c.heard[name]
	c.mutex.Unlock()
	select {
	case heard <- record: // never, when nobody waits: the channel is nil
	default:
	}
}

func (c *Crew) listen(name string) chan abi.Record {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.heard[name] = make(chan abi.Record, heardRecordsMax)
	return c.heard[name]
}

// Work starts the traffic of all guests: what they are to judge by.
func (c *Crew) Work(ctx context.Context, phase uint32) error {
	for i, name := range c.names {
		if err := c.traffic(ctx, name, phase, c.seed+uint64(i), quietIntervalNS); err != nil {
			return err
		}
	}
	return nil
}

func (c *Crew) traffic(ctx context.Context, name string, phase uint32, seed uint64, intervalNS uint32) error {
	stop, err := c.guests[name].Traffic(ctx, abi.TrafficRequest{})
	if err == nil && stop.Code != abi.OK {
		err = fmt.Errorf("stopping the traffic: %v", stop.Code)
	}
	if err != nil {
		return fmt.Errorf("guest %s: %w", name, err)
	}
	start, err := c.guests[name].Traffic(ctx, abi.TrafficRequest{Seed: seed, PacketCount: livePacketsMax,
		IntervalNS: intervalNS, Phase: phase})
	if err == nil && start.Code != abi.OK {
		err = fmt.Errorf("starting the traffic: %v", start.Code)
	}
	if err != nil {
		return fmt.Errorf("guest %s: %w", name, err)
	}
	return nil
}

// Install implements Standing: all guests at once, then the turn in the last.
func (c *Crew) Install(ctx context.Context, hook abi.HookID, program []byte) []Live {
	said := make([]Live, len(c.names))
	var wait sync.WaitGroup
	for i, name := range c.names {
		wait.Go(func() { said[i] = c.install(ctx, name, hook, program) })
	}
	wait.Wait()
	if last := len(said) - 1; last >= 1 && said[last].Verdict == abi.VerdictKept {
		said = append(said, c.turn(ctx, c.names[last], sha256.Sum256(program)))
	}
	if err := c.Work(ctx, capture.PhaseScan); err != nil { // the busy hour is over
		said = append(said, Live{Guest: "all", Said: err.Error()})
	}
	return said
}

// install hands the program over and waits for the monitor's word.
func (c *Crew) install(ctx context.Context, name string, hook abi.HookID, program []byte) Live {
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	heard := c.listen(name)
	if err := c.traffic(ctx, name, capture.PhaseScan, c.seed, busyIntervalNS); err != nil {
		return Live{Guest: name, Said: err.Error()}
	}
	digest := abi.Digest(sha256.Sum256(program))
	var reply abi.InstallReply
	for try := 1; ; try++ {
		var err error
		if reply, err = c.guests[name].Install(ctx, hook, 0, program, digest); err != nil {
			return Live{Guest: name, Said: "did not answer: " + err.Error()}
		}
		// A window that is too short, or a canary under way, is over soon.
		again := reply.Code == abi.ErrBusy || reply.Code == abi.ErrSnapTruncated || reply.Code == abi.ErrNoCandidate
		if !again || try == installTriesMax {
			break
		}
	}
	if reply.Code != abi.OK {
		return Live{Guest: name, Stage: abi.Stage(reply.Stage), Verdict: abi.VerdictRefused, Code: reply.Code,
			Said: fmt.Sprintf("refused it at %v: %v", abi.Stage(reply.Stage), reply.Code)}
	}
	return c.verdict(ctx, name, digest, heard)
}

// verdict waits until the monitor keeps the program or takes it back.
func (c *Crew) verdict(ctx context.Context, name string, digest abi.Digest, heard <-chan abi.Record) Live {
	last := Live{Guest: name, Stage: abi.StageDeploy, Verdict: abi.VerdictCanary}
	for {
		select {
		case <-ctx.Done():
			last.Said = fmt.Sprintf("no last word; it stands at %v %v", last.Stage, last.Verdict)
			return last
		case r := <-heard:
			if r.Candidate != digest || r.Stage != abi.StageDeploy && r.Stage != abi.StageMonitor {
				continue
			}
			last.Stage, last.Verdict, last.Code = r.Stage, r.Verdict, r.Code
			switch r.Verdict {
			case abi.VerdictKept:
				last.Said = fmt.Sprintf("kept it after %d events", r.Values[0])
				return last
			case abi.VerdictRolledBack:
				last.Said = fmt.Sprintf("took it back: %v", r.Code)
				return last
			}
		}
	}
}

// turn changes what is wanted under a kept program.
func (c *Crew) turn(ctx context.Context, name string, digest abi.Digest) Live {
	heard := c.listen(name)
	if err := c.traffic(ctx, name, capture.PhaseTurned, c.seed, busyIntervalNS); err != nil {
		return Live{Guest: name, Said: "the traffic did not turn: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, min(turnedWordsLimit, c.Patience))
	defer cancel()
	live := c.verdict(ctx, name, digest, heard)
	if live.Verdict == abi.VerdictRolledBack {
		live.Said = fmt.Sprintf("took it back when the traffic turned: %v", live.Code)
	} else {
		live.Stage, live.Verdict = abi.StageMonitor, abi.VerdictKept
		live.Said = "keeps it although the traffic turned"
	}
	return live
}
