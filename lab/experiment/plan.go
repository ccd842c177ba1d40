package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Role says what an arm is for.
type Role string

const (
	RoleFloor     Role = "floor"     // hook bypassed, no program
	RoleDefault   Role = "default"   // hook on, built-in default: the baseline
	RoleControl   Role = "control"   // the default once more: must cost the same
	RolePass      Role = "pass"      // the default written as a program: what the plant is held against
	RolePlant     Role = "plant"     // the same with useless instructions: must be seen
	RoleCheat     Role = "cheat"     // planted losers: must be refused
	RoleCandidate Role = "candidate" // what the proposer submitted
)

// Arm is one thing to measure.
type Arm struct {
	Name    string `json:"name"`
	Role    Role   `json:"role"`
	Program []byte `json:"-"` // wire format; empty for floor, default and control
}

// Digest names the arm's program; of no bytes when it has none.
func (a Arm) Digest() abi.Digest { return sha256.Sum256(a.Program) }

// Short is the first part of a digest, as people read it.
func Short(d abi.Digest) string { return hex.EncodeToString(d[:6]) }

// Workload is the traffic of a plan. Its seed is published as a hash before any
// candidate is submitted.
type Workload struct {
	Name        string
	Trace       []byte // abi.TraceHeader and packets
	Listens     []abi.Listen
	Phases      []abi.Phase
	PacketCount uint32
	IntervalNS  uint32
	Seed        uint64
}

// Commitment is what is published about the seed beforehand: SHA-256 over a
// fixed text, the salt and the seed. The salt keeps a small seed from being
// found by trying.
func Commitment(seed uint64, salt [32]byte) string {
	h := sha256.New()
	h.Write([]byte("kingly-os/go-kernel workload seed\x00"))
	h.Write(salt[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	return hex.EncodeToString(h.Sum(nil))
}

// Plan is one experiment.
type Plan struct {
	Hook     abi.HookID
	Workload Workload
	Arms     []Arm
	Repeats  int // 2: once to measure, once to prove it repeats
}

// Run is what came of one guest.
type Run struct {
	Hello  abi.Hello
	Report abi.Report
	Host   time.Duration // wall time, boot included
}

// Runner boots a fresh guest with a job, waits for its report and lets it go.
// Calls may overlap; the runner bounds how many guests run at once.
type Runner interface {
	Measure(ctx context.Context, name string, job []byte) (Run, error)
}

// Event tells an observer how an experiment goes.
type Event struct {
	Arm      Arm
	Repeat   int
	Finished bool
	Host     time.Duration
	Err      error
	Done     int // guests finished
	Total    int
}

// Check refuses a plan that could not prove anything.
func (p Plan) Check() error {
	if p.Repeats < 2 {
		return fmt.Errorf("plan: %d repeats: an arm that ran once proves nothing about its repeatability", p.Repeats)
	}
	if p.Workload.PacketCount == 0 || len(p.Workload.Trace) == 0 {
		return errors.New("plan: no packets")
	}
	names, roles := map[string]bool{}, map[Role]int{}
	for _, arm := range p.Arms {
		if names[arm.Name] {
			return fmt.Errorf("plan: two arms are named %q", arm.Name)
		}
		names[arm.Name] = true
		roles[arm.Role]++
		switch arm.Role {
		case RoleFloor, RoleDefault, RoleControl:
			if len(arm.Program) != 0 {
				return fmt.Errorf("plan: arm %s runs no program but carries one", arm.Name)
			}
		default:
			if len(arm.Program) == 0 {
				return fmt.Errorf("plan: arm %s has no program", arm.Name)
			}
		}
	}
	for _, role := range []Role{RoleFloor, RoleDefault, RoleControl, RolePass, RolePlant} {
		if roles[role] != 1 {
			return fmt.Errorf("plan: %d arms of role %s, want one", roles[role], role)
		}
	}
	return nil
}
