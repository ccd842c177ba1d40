// Package web serves the lab's page: one document from this binary, without
// outside assets, kept up to date by server-sent events.
//
// The page is rendered here, section by section, and the browser replaces what
// changed: it reads the same without scripts, only not live. State holds what
// is shown; nothing on the page is computed from anything else.
package web

import (
	"sync"
	"time"
)

// State is all the page shows.
type State struct {
	Campaign   Campaign
	Steps      []Step
	Fleet      []Guest
	Plot       Plot
	Candidates []Candidate
	Records    []Record // newest last; the oldest are dropped past recordsMax
	Programs   []Program
	Dropped    int // records no longer shown
	Facts      []Fact
}

// Campaign is the headline.
type Campaign struct {
	Title      string
	Seed       uint64
	Commitment string // hash of the workload's seed, published before the candidates
	Verdict    string // empty while it runs
	Headline   string
	Done       int // guests measured
	Total      int
}

// StepState of a step.
type StepState string

const (
	StepWaiting StepState = "waiting"
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
)

// Step is one line of the story, in order.
type Step struct {
	Name   string
	Detail string
	State  StepState
	Took   time.Duration
}

// Guest is one row of the fleet.
type Guest struct {
	Name     string
	Target   string
	State    string
	BootInsn uint64
	BootHost time.Duration
	Program  string // what runs in its slot
	Note     string
}

// Mark is a candidate's fate at one stage.
type Mark struct {
	Stage  string
	State  string // MarkPassed...
	Detail string
}

const (
	MarkPassed  = "passed"
	MarkRefused = "refused"
	MarkPending = "pending"
	MarkSkipped = "skipped" // an earlier stage refused
)

// Candidate and its fate stage by stage.
type Candidate struct {
	Name    string
	Digest  string
	Origin  string
	Planted bool
	Won     bool
	Marks   []Mark
	Reason  string
	Text    string
}

// Arm is one row of the plot. Low and High are the repeats: equal when exact.
type Arm struct {
	Name      string
	Role      string
	Value     float64
	Low, High float64
	Samples   int
	Verdict   string
	Reason    string
}

// Plot is the A/B result.
type Plot struct {
	Unit     string
	Baseline float64 // 0 = not known yet
	Floor    float64
	Arms     []Arm
}

// Record is one of the kernel's own decisions.
type Record struct {
	Guest     string
	At        string // virtual time since boot
	Stage     string
	Verdict   string
	Candidate string
	Reason    string
}

// Program is a candidate that a kernel wrote for itself.
type Program struct {
	Guest  string
	Digest string
	Text   string
}

// Fact is a line of the fingerprint.
type Fact struct{ Name, Value string }

const (
	recordsMax  = 300
	programsMax = 24
)

// Page holds the state and tells readers when it changed.
type Page struct {
	mutex   sync.Mutex
	state   State
	version uint64
	changed chan struct{} // closed and replaced at each change
}

// NewPage makes an empty page.
func NewPage() *Page { return &Page{changed: make(chan struct{}), version: 1} }

// Update changes the state under the page's lock.
func (p *Page) Update(change func(*State)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	change(&p.state)
	if extra := len(p.state.Records) - recordsMax; extra > 0 {
		p.state.Records = append([]Record(nil), p.state.Records[extra:]...)
		p.state.Dropped += extra
	}
	if extra := len(p.state.Programs) - programsMax; extra > 0 {
		p.state.Programs = append([]Program(nil), p.state.Programs[extra:]...)
	}
	p.version++
	close(p.changed)
	p.changed = make(chan struct{})
}

// sections renders the current state; version and changed belong to it.
func (p *Page) sections() (fragments map[string]string, version uint64, changed <-chan struct{}, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	fragments, err = render(&p.state)
	return fragments, p.version, p.changed, err
}
