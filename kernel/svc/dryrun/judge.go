// Package dryrun is the judge: it replays the built-in default, the running
// program and every candidate on the recorded window and lets through the best
// one, or none. Nothing is installed without it.
//
// A candidate must lose nothing that the window shows as wanted, and must cost
// less than the better of default and running program by GainPerCent. Cost is
// measured path cost per outcome plus steps times measured cost per step of
// compiled code (model.go, calibrate.go). The replay itself is interpreted: it
// counts steps and stops at the first byte that was not recorded.
//
// Invariants: only this package makes a Chosen; a Chosen names a program that
// went through verify; whatever cannot be replayed faithfully is refused, never
// guessed.
package dryrun

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// GainPerCent is the margin over the better of default and running program.
// The window is a sample: a gain inside its noise is not worth a swap.
const GainPerCent = 2

// EventsMin is the shortest window anything is judged on.
const EventsMin = 128

// Report is what was found about one candidate, in instructions over the
// whole window. Costs are comparable with each other, not with a clock.
type Report struct {
	Code         abi.Code
	DefaultInsn  uint64
	RunningInsn  uint64 // equals DefaultInsn when no program runs
	BaselineInsn uint64 // the smaller of the two
	Insn         uint64 // the candidate
	WantedLost   uint32 // delivered in the window, dropped by the candidate
	Blind        uint32 // dropped by the candidate, and nobody ever looked
	Replayed     uint32
	Audited      uint32 // of the window's drops
	Steps        uint64
}

// Judge replays one program at a time over one frozen window.
type Judge struct {
	window         *telemetry.Window
	model          *Model
	running        *interp.Loaded // nil: the built-in default runs
	runningVersion uint32
	images         [2]interp.Loaded
	trial, best    *interp.Loaded
	trialProgram   verify.Program // what trial was loaded from
	bestProgram    verify.Program
	bestReport     Report
	haveBest       bool
	generation     uint32 // makes old Chosen worthless

	machine  interp.Machine
	context  abi.NetRXContext // here and not on the stack: the machine keeps its address
	next     int
	current  Report
	baseline Report
	audit    audit
	steps    [telemetry.WindowEvents]uint16 // of the running program
}

// audit is what the window knows about packets the running program dropped.
type audit struct {
	unknown uint32 // dropped, nobody looked
	looked  uint32
	wanted  uint32
}

// trusted says whether unknown packets may be taken for junk: enough drops
// were audited (half of the share the hook promises) and none was wanted.
func (a *audit) trusted() bool {
	return a.wanted == 0 && a.looked >= a.unknown/(2*AuditInterval)
}

// Reset forgets the round, as after a contained panic. It keeps the images it
// has: after an Exchange some of images lie in the slot table and run.
func (j *Judge) Reset() {
	j.window, j.model, j.running = nil, nil, nil
	if j.trial == nil {
		j.trial, j.best = &j.images[0], &j.images[1]
	}
	j.haveBest = false
	j.generation++
}

// Begin starts a round on a frozen window. Step then replays the running
// program and calibrates the model before the first candidate.
func (j *Judge) Begin(w *telemetry.Window, m *Model, running *interp.Loaded, runningVersion uint32) {
	if j.trial == nil {
		j.Reset()
	}
	j.window, j.model, j.running, j.runningVersion = w, m, running, runningVersion
	j.haveBest = false
	j.generation++
	j.next = 0
	j.audit = audit{}
	j.baseline = Report{}
}

// Prepare replays the running program on up to events events and says whether
// the baseline is complete. The Report's Code is ErrNotDefault if the replay
// does not do what the record says was done.
func (j *Judge) Prepare(events int) (Report, bool) {
	for ; events > 0 && j.next < j.window.Count; events-- {
		j.recall(j.next)
		j.next++
	}
	if j.next < j.window.Count {
		return j.baseline, false
	}
	j.calibrate()
	j.measureBaseline()
	if j.baseline.Code == abi.OK && j.window.Count < EventsMin {
		j.baseline.Code = abi.ErrNoGain // nothing to gain on
	}
	return j.baseline, true
}

// recall replays the running program on one recorded event.
func (j *Judge) recall(i int) {
	event := &j.window.Events[i]
	j.steps[i] = 0
	if event.Flags&abi.EventAudited != 0 {
		j.audit.looked++
		if event.Outcome == abi.OutcomeDelivered || event.Outcome == abi.OutcomeSteered {
			j.audit.wanted++
		}
	} else if event.Outcome == abi.OutcomeUnknown {
		j.audit.unknown++
	}
	if j.running == nil {
		return
	}
	action, steps, code := j.run(j.running, event)
	j.steps[i] = uint16(steps)
	if code != abi.OK {
		j.baseline.Code = code
		return
	}
	ranHere := event.Flags&abi.EventProgramRan != 0 && event.SlotVersion == j.runningVersion
	if ranHere && action != uint32(event.Action) {
		j.baseline.Code = abi.ErrNotDefault
	}
}

// run executes a program on a recorded event as the hook would have.
func (j *Judge) run(image *interp.Loaded, event *abi.NetRXEvent) (action uint32, steps uint32, code abi.Code) {
	j.context = abi.NetRXContext{
		DataEnd:        uint32(event.PacketBytes),
		IngressIfindex: 1,
		RxQueueIndex:   uint32(event.CPU),
		FlowPackets:    event.FlowPackets,
		FlowAgeNS:      event.FlowAgeNS,
	}
	snap := int(event.SnapBytes)
	if snap > len(event.Snap) || snap > int(event.PacketBytes) {
		return 0, 0, abi.ErrSnapTruncated
	}
	result, steps, code := image.Run(&j.machine, &j.context, event.Snap[:snap], int(event.PacketBytes))
	return uint32(result), steps, code
}

// measureBaseline adds up what default and running program cost.
func (j *Judge) measureBaseline() {
	b := &j.baseline
	for i := 0; i < j.window.Count; i++ {
		event := &j.window.Events[i]
		path := j.model.Path(event.Outcome, event.PacketBytes)
		b.DefaultInsn += path
		switch {
		case j.running == nil:
			b.RunningInsn += path
		case j.dropped(event):
			b.RunningInsn += j.model.Program(uint32(j.steps[i])) + j.model.Dropped(event.Outcome, event.PacketBytes)
		default:
			b.RunningInsn += j.model.Program(uint32(j.steps[i])) + path
		}
	}
	b.BaselineInsn = min(b.DefaultInsn, b.RunningInsn)
	b.Replayed = uint32(j.window.Count)
	b.Audited = j.audit.looked
}

// dropped says what the running program did, or would have done, to an event.
// Events that another version decided (before the last swap) are few; they are
// taken as passed, which flatters the default and so can only refuse more.
func (j *Judge) dropped(event *abi.NetRXEvent) bool {
	return event.Flags&abi.EventProgramRan != 0 && event.Action == abi.NetRXDrop
}

// Try loads a verified program for replay.
func (j *Judge) Try(p verify.Program) abi.Code {
	j.next = 0
	j.current = j.baseline
	j.current.Insn, j.current.Steps, j.current.Replayed = 0, 0, 0
	j.trialProgram = p
	return load(p, j.trial)
}

// load makes a verified program ready, unless a dry run of it means nothing: a
// program that writes into packets would change the record it is replayed on,
// and what consumers get.
func load(p verify.Program, into *interp.Loaded) abi.Code {
	if p.WritesPacket() {
		return abi.ErrMutates
	}
	for slot := 0; slot < p.Len(); slot++ {
		if p.Access(slot) == verify.AccessContext && !recorded(p.At(slot).Offset) {
			return abi.ErrSnapTruncated
		}
	}
	return interp.Load(p, into)
}

// recorded says whether events tell what a context field held: the queue, the
// flow's packets and its age. The interface is not in the record.
func recorded(offset int16) bool {
	return offset == 16 || offset == 24 || offset == 28
}

// Step replays the candidate on up to events events; when the window is
// through it returns the judgement and true.
func (j *Judge) Step(events int) (Report, bool) {
	r := &j.current
	for ; events > 0 && j.next < j.window.Count && r.Code == abi.OK; events-- {
		j.replay(&j.window.Events[j.next])
		j.next++
	}
	if r.Code == abi.OK && j.next < j.window.Count {
		return *r, false
	}
	if r.Code == abi.OK {
		r.Code = j.compare()
	}
	if r.Code == abi.OK && (!j.haveBest || r.Insn < j.bestReport.Insn) {
		j.trial, j.best = j.best, j.trial
		j.bestProgram = j.trialProgram
		j.bestReport, j.haveBest = *r, true
	}
	return *r, true
}

func (j *Judge) replay(event *abi.NetRXEvent) {
	r := &j.current
	action, steps, code := j.run(j.trial, event)
	if code != abi.OK {
		r.Code = code
		return
	}
	r.Replayed++
	r.Steps += uint64(steps)
	r.Insn += j.model.Program(steps)
	switch action {
	case abi.NetRXPass:
		r.Insn += j.model.Path(event.Outcome, event.PacketBytes)
	case abi.NetRXDrop:
		r.Insn += j.model.Dropped(event.Outcome, event.PacketBytes)
		switch event.Outcome {
		case abi.OutcomeDelivered, abi.OutcomeSteered:
			r.WantedLost++
		case abi.OutcomeUnknown:
			r.Blind++
		}
	case abi.NetRXRedirect:
		r.Code = abi.ErrUnsupported // what steering costs and gains is not in the record
	default:
		r.Code = abi.ErrFault // aborted, TX and unknown actions are errors at this hook
	}
}

// compare speaks the judgement: loss first, then cost.
func (j *Judge) compare() abi.Code {
	r := &j.current
	if r.Blind > 0 && !j.audit.trusted() {
		r.WantedLost += r.Blind // nobody can say that they were not wanted
	}
	switch {
	case r.WantedLost > 0:
		return abi.ErrLosesNeeded
	case r.Insn > r.BaselineInsn:
		return abi.ErrWorse
	case r.Insn*100 > r.BaselineInsn*(100-GainPerCent):
		return abi.ErrNoGain
	}
	return abi.OK
}

// Chosen is a program that won a dry run. It is worth something until the
// judge begins its next round.
type Chosen struct {
	judge      *Judge
	generation uint32
	waived     bool
}

// Choose returns the best candidate of the round, if any survived.
func (j *Judge) Choose() (Chosen, Report, bool) {
	if !j.haveBest {
		return Chosen{}, j.baseline, false
	}
	return Chosen{judge: j, generation: j.generation}, j.bestReport, true
}

// Waive chooses a verified program without a dry run. It exists for measured
// jobs only, which install planted losers and the empty program to know what
// they cost; nothing that the kernel proposed comes this way.
func (j *Judge) Waive(p verify.Program) (Chosen, abi.Code) {
	if j.best == nil {
		j.Reset()
	}
	j.generation++
	if code := interp.Load(p, j.best); code != abi.OK {
		return Chosen{}, code
	}
	j.bestProgram, j.haveBest = p, true
	return Chosen{judge: j, generation: j.generation, waived: true}, abi.OK
}

// Valid says whether the judge still holds this program.
func (c Chosen) Valid() bool {
	return c.judge != nil && c.judge.generation == c.generation && c.judge.haveBest
}

// Program is the chosen program, for the compiler; its own Valid still counts.
func (c Chosen) Program() verify.Program {
	if !c.Valid() {
		return verify.Program{}
	}
	return c.judge.bestProgram
}

// Digest names the chosen program.
func (c Chosen) Digest() abi.Digest { return c.judge.best.Digest() }

// Exchange hands the chosen image out and keeps spare in its place; the Chosen
// is spent. deploy calls it once.
func (c Chosen) Exchange(spare *interp.Loaded) *interp.Loaded {
	j := c.judge
	image := j.best
	j.best = spare
	j.haveBest = false
	j.generation++
	return image
}
