package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
)

// Executor runs a program on one packet: the action, and how many of its
// instructions ran. A non-nil error counts as a program error (pass).
type Executor func(ctx abi.NetRXContext, packet []byte) (action uint64, steps uint32, err error)

// Loader makes an executor of a program's bytes; the tests of packages that
// may import the kernel's services give the real interpreter.
type Loader func(program []byte) (Executor, error)

// Costs of the model, in instructions.
const (
	costSource       = 60  // hand-over, paid by every arm
	costHook         = 120 // slot, flow table, ring
	costProgramCall  = 40
	costProgramStep  = 12
	costDelivered    = 900
	costByteDeliver  = 2
	costNoConsumer   = 1600 // build the reply that RFC 1122 asks for
	costMalformed    = 200
	auditInterval    = 64
	bootInstructions = 800_000
)

// Faults makes guests misbehave.
type Faults struct {
	Boot        func(name string) error // a guest that does not start
	WrongDigest bool                    // runs other bytes than it was given
	OldNonce    bool                    // replays an attestation
	Jitter      bool                    // costs differ from guest to guest
	BlindToCost bool                    // counts the same for every program
	Cheap       uint64                  // instructions forgotten per packet: beyond the floor
}

// Fleet implements experiment.Runner.
type Fleet struct {
	Load   Loader
	Limit  int // guests at once; 0 = 2
	Faults Faults

	once  sync.Once
	slots chan struct{}
	mutex sync.Mutex
	count int // guests booted
	most  int // most at once
	now   int
}

// Booted is how many guests ran, and how many of them at once at most.
func (f *Fleet) Booted() (total, most int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.count, f.most
}

// Measure boots a guest that is not there.
func (f *Fleet) Measure(ctx context.Context, name string, blob []byte) (experiment.Run, error) {
	f.once.Do(func() { f.slots = make(chan struct{}, max(f.Limit, 2)) })
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return experiment.Run{}, ctx.Err()
	}
	number := f.enter()
	defer f.leave()
	if f.Faults.Boot != nil {
		if err := f.Faults.Boot(name); err != nil {
			return experiment.Run{}, err
		}
	}
	job, code := abi.ParseJob(blob)
	if code != abi.OK {
		return experiment.Run{}, fmt.Errorf("simulated guest %s refuses its job: %d", name, code)
	}
	report, err := f.replay(job)
	if err != nil {
		return experiment.Run{}, err
	}
	if f.Faults.Jitter {
		report.InsnTotal += uint64(number)
	}
	hello := abi.Hello{Version: abi.Version, Kind: abi.KernelOurs, CPUs: 1,
		BootInsnCPU0: bootInstructions, BootInsnTotal: bootInstructions}
	return experiment.Run{Hello: hello, Report: report, Host: time.Millisecond}, nil
}

func (f *Fleet) enter() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.count++
	f.now++
	f.most = max(f.most, f.now)
	return f.count
}

func (f *Fleet) leave() {
	f.mutex.Lock()
	f.now--
	f.mutex.Unlock()
	<-f.slots
}

// replay is a whole measured job.
func (f *Fleet) replay(job abi.Job) (abi.Report, error) {
	report := abi.Report{Kind: job.Header.Kind, CPUs: 1}
	program := job.Program()
	var run Executor
	if len(program) > 0 {
		var err error
		if run, err = f.Load(program); err != nil {
			return report, err
		}
		report.SlotVersion = 1
	}
	source := NewSource(job)
	path := path{job: job, run: run, bypassed: job.Header.Flags&abi.JobHookBypassed != 0, blind: f.Faults.BlindToCost}
	for {
		packet, ok := source.Next()
		if !ok {
			break
		}
		path.offer(packet, &report)
		report.InsnTotal -= min(f.Faults.Cheap, report.InsnTotal)
	}
	if run != nil {
		f.attest(job, program, &report)
	}
	return report, nil
}

func (f *Fleet) attest(job abi.Job, program []byte, report *abi.Report) {
	nonce := job.Header.Nonce
	if f.Faults.OldNonce {
		nonce = [32]byte{}
	}
	report.Program = sha256.Sum256(program)
	if f.Faults.WrongDigest {
		report.Program[0] ^= 1
	}
	report.EventsHandled = report.Offered
	report.Attestation = experiment.Attestation(nonce, abi.HookNetRX, program, report.EventsHandled)
}

// path is the packet path of a simulated guest.
type path struct {
	job      abi.Job
	run      Executor
	bypassed bool
	blind    bool
	drops    uint64
}

// offer takes one packet through hook and default path. The bypassed run knows
// the answer: junk costs it the hand-over only, needed packets no hook.
func (p *path) offer(packet Packet, report *abi.Report) {
	cost, wanted := uint64(costSource), Wanted(p.job, packet)
	deliver := true
	switch {
	case p.bypassed:
		deliver = packet.Needed
	default:
		cost += costHook
		if p.run != nil {
			action, steps := p.decide(packet)
			if !p.blind {
				cost += costProgramCall + costProgramStep*uint64(steps)
			}
			if action == abi.NetRXDrop {
				deliver = p.drops%auditInterval == 0 // an audited drop is delivered
				p.drops++
			}
		}
	}
	report.Offered++
	if packet.Needed {
		report.NeededOffered++
	} else {
		report.JunkOffered++
	}
	if deliver {
		cost += p.deliver(packet, wanted, report)
	}
	if wanted {
		report.SignalWanted++
	}
	if wanted == packet.Needed {
		report.SignalAgrees++
	}
	report.InsnTotal += cost
}

func (p *path) decide(packet Packet) (action uint64, steps uint32) {
	context := abi.NetRXContext{DataEnd: uint32(len(packet.Bytes)), IngressIfindex: 1}
	action, steps, err := p.run(context, packet.Bytes)
	if err != nil {
		return abi.NetRXPass, steps
	}
	return action, steps
}

func (p *path) deliver(packet Packet, wanted bool, report *abi.Report) (cost uint64) {
	if !wanted {
		if _, _, ok := destination(packet.Bytes); !ok {
			return costMalformed
		}
		return costNoConsumer
	}
	if packet.Needed {
		report.NeededDelivered++
	} else {
		report.JunkDelivered++
	}
	return costDelivered + costByteDeliver*uint64(len(packet.Bytes))
}
