package loop

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
)

// puppet is a live guest that says what it is told to.
type puppet struct {
	name    string
	crew    *Crew
	refuse  abi.Code    // at dry run
	verdict abi.Verdict // of its monitor; none = it says nothing
	turns   bool        // takes the program back when the traffic turns

	mutex  sync.Mutex
	digest abi.Digest
	phases []uint32
}

func (p *puppet) say(stage abi.Stage, verdict abi.Verdict, code abi.Code) {
	p.crew.Hear(p.name, abi.Record{Stage: stage, Verdict: verdict, Code: code, Candidate: p.digest, Values: [8]uint64{1024}})
}

func (p *puppet) Install(_ context.Context, _ abi.HookID, _ uint32, program []byte, expected abi.Digest) (abi.InstallReply, error) {
	p.digest = sha256.Sum256(program)
	if p.digest != expected {
		return abi.InstallReply{Code: abi.ErrDigestMismatch}, nil
	}
	if p.refuse != abi.OK {
		return abi.InstallReply{Code: p.refuse, Stage: uint32(abi.StageDryRun)}, nil
	}
	p.say(abi.StageDeploy, abi.VerdictCanary, abi.OK)
	p.say(abi.StageDeploy, abi.VerdictInstalled, abi.OK)
	if p.verdict != abi.VerdictNone {
		p.say(abi.StageMonitor, p.verdict, abi.OK)
	}
	return abi.InstallReply{Stage: uint32(abi.StageDeploy)}, nil
}

func (p *puppet) Traffic(_ context.Context, request abi.TrafficRequest) (abi.InstallReply, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if request.PacketCount > 0 {
		p.phases = append(p.phases, request.Phase)
		if request.Phase == capture.PhaseTurned && p.turns {
			p.say(abi.StageMonitor, abi.VerdictRolledBack, abi.ErrLossBudget)
		}
	}
	return abi.InstallReply{}, nil
}

func install(puppets ...*puppet) []Live {
	crew := NewCrew(1)
	crew.Patience = 200 * time.Millisecond
	for _, p := range puppets {
		p.crew = crew
		crew.Add(p.name, p)
	}
	return crew.Install(context.Background(), abi.HookNetRX, []byte{0x95, 0, 0, 0, 0, 0, 0, 0})
}

func TestCrewHearsEachMonitor(t *testing.T) {
	said := install(
		&puppet{name: "a", verdict: abi.VerdictKept},
		&puppet{name: "b", verdict: abi.VerdictRolledBack},
		&puppet{name: "c", refuse: abi.ErrNoGain},
		&puppet{name: "d"})
	for i, want := range []struct {
		verdict abi.Verdict
		said    string
	}{{abi.VerdictKept, "kept it after 1024 events"}, {abi.VerdictRolledBack, "took it back"},
		{abi.VerdictRefused, "refused it at dry-run"}, {abi.VerdictInstalled, "no last word"}} {
		if said[i].Verdict != want.verdict || !strings.Contains(said[i].Said, want.said) {
			t.Errorf("guest %s: %v, %q; want %v, %q", said[i].Guest, said[i].Verdict, said[i].Said, want.verdict, want.said)
		}
	}
	if len(said) != 4 {
		t.Errorf("%d answers of 4 guests; the last kept nothing, so nothing turns", len(said))
	}
}

func TestTheTrafficTurnsInTheLastGuestOnly(t *testing.T) {
	first, last := &puppet{name: "a", verdict: abi.VerdictKept}, &puppet{name: "b", verdict: abi.VerdictKept, turns: true}
	said := install(first, last)
	if len(said) != 3 || said[2].Guest != "b" || said[2].Verdict != abi.VerdictRolledBack || !strings.Contains(said[2].Said, "when the traffic turned") {
		t.Fatalf("%+v", said)
	}
	for _, phase := range first.phases {
		if phase == capture.PhaseTurned {
			t.Error("the traffic turned in the first guest too")
		}
	}
	if steady := install(&puppet{name: "a", verdict: abi.VerdictKept}, &puppet{name: "b", verdict: abi.VerdictKept}); steady[2].Verdict != abi.VerdictKept {
		t.Errorf("a program that stays: %+v", steady[2])
	}
}
