package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"net"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// fakeInstance is a guest made of a pipe; the methods Up does not use are those
// of the nil interface.
type fakeInstance struct {
	Instance
	spec     Spec
	client   *guest.Client
	messages *guest.Stream
	far      net.Conn
	done     chan struct{}
	once     sync.Once
	err      error
}

func (f *fakeInstance) Name() string            { return f.spec.Name }
func (f *fakeInstance) Target() string          { return f.spec.Target }
func (f *fakeInstance) Control() *guest.Client  { return f.client }
func (f *fakeInstance) Messages() *guest.Stream { return f.messages }
func (f *fakeInstance) Done() <-chan struct{}   { return f.done }
func (f *fakeInstance) Hello() abi.Hello        { return abi.Hello{CPUs: uint32(f.spec.CPUs)} }
func (f *fakeInstance) Console() []byte         { return []byte("printed") }
func (f *fakeInstance) CPUTime() time.Duration  { return time.Second }
func (f *fakeInstance) Stop() error             { f.end(nil); return nil }

func (f *fakeInstance) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

func (f *fakeInstance) end(err error) {
	f.once.Do(func() {
		f.err = err
		f.far.Close() // what was said is read first, as from a process that ends
		<-f.client.Done()
		f.client.Close()
		close(f.done)
	})
}

func (f *fakeInstance) say(kind uint16, payload []byte) {
	frame := make([]byte, abi.FrameHeaderBytes+len(payload))
	abi.PutFrame(frame, kind, 0, payload)
	f.far.Write(frame)
}

// fakePool starts fake guests; names in refuse do not boot.
type fakePool struct {
	refuse map[string]bool
	script func(*fakeInstance) // what a guest does once started; may be nil
	mutex  sync.Mutex
	live   []*fakeInstance
}

func (p *fakePool) Limit() int   { return 8 }
func (p *fakePool) Close() error { return nil }

func (p *fakePool) Start(_ context.Context, spec Spec) (Instance, error) {
	if p.refuse[spec.Name] {
		return nil, &BootError{Name: spec.Name, Target: spec.Target, Cause: errors.New("refused"), Console: []byte("last words")}
	}
	near, far := net.Pipe()
	client := guest.NewClient(near)
	f := &fakeInstance{spec: spec, client: client, messages: client.Stream(), far: far, done: make(chan struct{})}
	p.mutex.Lock()
	p.live = append(p.live, f)
	p.mutex.Unlock()
	if p.script != nil {
		go p.script(f)
	}
	return f, nil
}

// TestUp: the fleet is what was asked for, less what did not boot; what each
// guest says arrives with its name, and its end with the reason.
func TestUp(t *testing.T) {
	record := make([]byte, abi.RecordBytes)
	(&abi.Record{Stage: abi.StageDeploy, Verdict: abi.VerdictInstalled}).Put(record)
	death := errors.New("died")
	pool := &fakePool{refuse: map[string]bool{"go-kernel-2": true}, script: func(f *fakeInstance) {
		f.say(abi.MessageRecord, record)
		if f.spec.Name == "linux-6.12-1" {
			f.end(death)
		}
	}}
	started := 0
	var mutex sync.Mutex
	fleet, err := Up(t.Context(), pool, UpSpec{Targets: map[string]int{TargetOurs: 3, "linux": 1}, Seed: 5,
		Started: func(Instance, error) { mutex.Lock(); started++; mutex.Unlock() }})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, machine := range fleet.Guests() {
		names = append(names, machine.Name())
	}
	if want := []string{"go-kernel-1", "go-kernel-3", "linux-6.12-1"}; !slices.Equal(names, want) || started != 4 {
		t.Errorf("guests %v, want %v; %d reported", names, want, started)
	}
	if len(fleet.Ours()) != 2 || len(fleet.Failed()) != 1 || !strings.Contains(fleet.Failed()[0].Error(), "last words") {
		t.Errorf("ours %d, failed %v", len(fleet.Ours()), fleet.Failed())
	}
	records, ends := map[string]int{}, map[string]error{}
	for range 4 {
		event := <-fleet.Events()
		if event.Ended {
			ends[event.Guest.Name()] = event.Err
			continue
		}
		for _, r := range event.Records() {
			if r.Stage != abi.StageDeploy {
				t.Errorf("record %+v", r)
			}
			records[event.Guest.Name()]++
		}
	}
	if len(records) != 3 || len(ends) != 1 || !errors.Is(ends["linux-6.12-1"], death) {
		t.Errorf("records %v, ends %v", records, ends)
	}
	if err := fleet.Down(); err != nil {
		t.Error(err)
	}
	for range fleet.Events() { // closed by Down
	}
	for _, machine := range pool.live {
		select {
		case <-machine.done:
		default:
			t.Errorf("%s still runs after Down", machine.Name())
		}
	}
}

// TestUpRefuses what cannot be a fleet, and leaves nothing running.
func TestUpRefuses(t *testing.T) {
	for name, spec := range map[string]UpSpec{
		"nothing":        {},
		"unknown target": {Targets: map[string]int{"vax": 1}},
		"too many":       {Targets: map[string]int{TargetOurs: 9}},
		"none boots":     {Targets: map[string]int{TargetOurs: 1}},
	} {
		pool := &fakePool{refuse: map[string]bool{"go-kernel-1": true}}
		if _, err := Up(t.Context(), pool, spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
		for _, machine := range pool.live {
			if name != "too many" {
				t.Errorf("%s: %s runs", name, machine.Name())
			}
		}
	}
}

// TestRunJob: a report is a result, an end without one is an error with the
// console, and a damaged job never starts a guest.
func TestRunJob(t *testing.T) {
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobMeasure})
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, abi.ReportBytes)
	(&abi.Report{Offered: 7}).Put(payload)
	pool := &fakePool{script: func(f *fakeInstance) {
		f.say(abi.MessageRecord, make([]byte, 3*abi.RecordBytes))
		f.say(abi.MessageReport, payload)
		f.end(nil)
	}}
	result, err := RunJob(t.Context(), pool, Spec{Target: TargetOurs, Job: job})
	if err != nil || result.Report.Offered != 7 || len(result.Records) != 3 || string(result.Console) != "printed" {
		t.Errorf("result %+v, %v", result, err)
	}
	if pool.live[0].spec.Mode != Measured {
		t.Error("a job ran in a guest that is not measured")
	}
	pool.script = func(f *fakeInstance) { f.end(nil) }
	_, err = RunJob(t.Context(), pool, Spec{Target: TargetOurs, Job: job})
	var death *DeathError
	if !errors.As(err, &death) || !strings.Contains(err.Error(), "without a report") || string(death.Console) != "printed" {
		t.Errorf("without a report: %v", err)
	}
	guests := len(pool.live)
	if _, err := RunJob(t.Context(), pool, Spec{Target: TargetOurs, Job: job[:100]}); err == nil || len(pool.live) != guests {
		t.Errorf("a damaged job: %v, %d guests", err, len(pool.live)-guests)
	}
}
