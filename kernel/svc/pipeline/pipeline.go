// Package pipeline is the story of a program in this kernel, from the traffic
// that calls for it to the day it is taken back. READ FIRST.
//
//	telemetry  drains the rings into a window, and the window into a snapshot
//	propose    writes candidates from the snapshot, one after the other
//	review     may refuse a candidate, and can vouch for none
//	analyze    looks at its shape                          -> analyze.Analyzed
//	verify     proves what it may do                       -> verify.Program
//	dry run    replays it beside default and running one   -> dryrun.Chosen
//	jit        makes machine code of it, or says why not   -> jit.Code
//	deploy     puts the best on one CPU, then on all       -> deploy.Deployed
//	monitor    watches it, for ever, and calls it back
//
// A program sent by the host enters at analyze and goes the same way. The
// stages are types: each of the last six demands what only the one before it
// can make. This file holds their order and nothing else; each call of Pump is
// one bounded step, so that the whole can run on a thread of low priority.
package pipeline

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
	"github.com/kingly-os/go-kernel/kernel/svc/monitor"
	"github.com/kingly-os/go-kernel/kernel/svc/propose/rules"
	"github.com/kingly-os/go-kernel/kernel/svc/review"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// How much one step may do.
const (
	eventsPerDrain = 64 // events taken from the rings per Pump
	eventsPerStep  = 32 // of the window, counted or replayed per Pump
)

// When the pipeline rests, in virtual nanoseconds.
const (
	pollNS        = 100_000       // between looks at rings that fill
	pollNSMax     = 6_400_000     // between looks at quiet ones, doubling up to this: an idle guest must not wake its host
	windowAgeNS   = 50_000_000    // a window older than this is judged part full
	restNS        = 2_500_000     // after a round that installed nothing; doubles
	restNSMax     = 80_000_000    // ... up to this
	coolDownNS    = 20_000_000    // after a rollback; doubles
	coolDownNSMax = 640_000_000   // ... up to this
	trialNS       = 1_000_000_000 // how long a canary may wait for its events
	hostWaitNS    = 50_000_000    // how long a host's program waits for a window
)

// step is where a round stands.
type step uint8

const (
	stepCollect  step = iota // fill the window
	stepSnapshot             // condense it
	stepBaseline             // replay the running program, calibrate costs
	stepPropose              // write the next candidate, or take the host's
	stepReview               // own candidates only
	stepAnalyze
	stepVerify
	stepReplay // dry run of the candidate
	stepChoose // the best goes out as a canary
	stepTrial  // watch the canary
)

// Pipeline is all state of the stages, static in the image. One thread pumps
// it; Decide runs beside that on every CPU; Install and Rollback may be called
// from one other thread.
type Pipeline struct {
	reader    telemetry.Reader
	window    telemetry.Window
	builder   telemetry.Builder
	snapshot  telemetry.Snapshot
	proposer  rules.Proposer
	reviewer  review.Reviewer
	analysis  analyze.Workspace
	proof     verify.Workspace
	analyzed  analyze.Analyzed
	verified  verify.Program
	model     dryrun.Model
	judge     dryrun.Judge
	compiler  jit.Workspace
	table     deploy.Table
	monitor   monitor.Monitor
	machines  [abi.CPUMax]interp.Machine
	inbox     inbox
	outbox    outbox
	banned    banned
	candidate candidate

	step        step
	fromHost    bool // this round is about the host's program
	silent      bool // propose nothing; host programs only
	kept        bool // the watched version got its final word
	cpus        int
	now         uint64
	windowSince uint64
	trialSince  uint64
	restUntil   uint64
	rest        uint64
	poll        uint64 // last sleep over quiet rings
	seen        int    // events in the window at that time
	coolDown    uint64
	rounds      uint64
}

// Pump does one bounded step and returns how long to sleep, 0 = call again.
func (p *Pipeline) Pump(nowNS uint64) (sleepNS uint64) {
	p.now = nowNS
	more := p.drain()
	if p.watch() {
		return 0
	}
	switch p.step {
	case stepCollect:
		sleepNS = p.collect()
	case stepSnapshot:
		p.condense()
	case stepBaseline:
		p.baseline()
	case stepPropose:
		p.propose()
	case stepReview:
		p.review()
	case stepAnalyze:
		p.analyze()
	case stepVerify:
		p.verify()
	case stepReplay:
		p.replay()
	case stepChoose:
		p.choose()
	case stepTrial:
		sleepNS = p.trial()
	}
	if more {
		return 0
	}
	return sleepNS
}

// drain takes events off the rings: the monitor sees every one of them, the
// window those that come while it is open.
func (p *Pipeline) drain() (more bool) {
	event := &p.outbox.event
	for n := 0; n < eventsPerDrain; n++ {
		if !p.reader.Next(event) {
			p.window.Lost += p.reader.LostSince()
			return false
		}
		p.monitor.Observe(event, &p.model)
		if p.step == stepCollect {
			p.window.Add(event)
		}
	}
	return true
}

// watch is the monitor's turn: over budget, and the previous version runs again.
func (p *Pipeline) watch() (rolledBack bool) {
	code := p.monitor.Judge(abi.HookNetRX)
	if code != abi.OK {
		p.rollBack(code)
		return true
	}
	if !p.kept && p.step != stepTrial && p.monitor.Events() >= monitor.KeepEvents {
		p.kept = true
		p.coolDown = coolDownNS
		p.sayMonitor(abi.VerdictKept, abi.OK)
	}
	return false
}

// collect waits until there is a window worth a round.
func (p *Pipeline) collect() (sleepNS uint64) {
	if p.window.Count == 0 {
		p.windowSince = p.now
	}
	switch p.hostWants() {
	case hostRollback:
		p.rollBackForHost()
	case hostInstall:
		p.beginRound(true)
	case hostWaits:
		return pollNS
	default:
		return p.collectOwn()
	}
	return 0
}

func (p *Pipeline) collectOwn() (sleepNS uint64) {
	old := p.now-p.windowSince > windowAgeNS && p.window.Count >= dryrun.EventsMin
	if !p.window.Full() && !old {
		return p.patience()
	}
	if p.silent || p.now < p.restUntil {
		p.window.Clear() // judge fresh traffic, once the rest is over
		return pollNS
	}
	p.beginRound(false)
	return 0
}

// patience is how long to sleep before the next look at the rings: longer and
// longer while nothing comes, short again with the first event.
func (p *Pipeline) patience() (sleepNS uint64) {
	if p.window.Count != p.seen || p.poll < pollNS {
		p.seen, p.poll = p.window.Count, pollNS
		return pollNS
	}
	p.poll = min(2*p.poll, pollNSMax)
	return p.poll
}

// beginRound freezes the window.
func (p *Pipeline) beginRound(fromHost bool) {
	p.fromHost = fromHost
	p.rounds++
	p.candidate.number = -1
	p.builder.Begin(&p.snapshot)
	p.step = stepSnapshot
}

// condense turns the window into a snapshot, then hands it to the judge.
func (p *Pipeline) condense() {
	if !p.builder.Step(&p.window, &p.snapshot, eventsPerStep) {
		return
	}
	p.saySnapshot()
	image, version := p.table.Running()
	p.judge.Begin(&p.window, &p.model, image, version)
	p.step = stepBaseline
}

// baseline finds what default and running program cost on the window.
func (p *Pipeline) baseline() {
	report, done := p.judge.Prepare(eventsPerStep)
	if !done {
		return
	}
	p.step = stepPropose
	if report.Code != abi.OK {
		p.sayDryRun(&report, abi.VerdictRefused)
		p.endRound(abi.StageDryRun, report.Code)
	}
}

// propose writes the next candidate; when there is none left, the best of
// those that were judged is chosen.
func (p *Pipeline) propose() {
	if !p.nextCandidate() {
		p.step = stepChoose
		return
	}
	if !p.assemble() {
		p.reject(abi.StagePropose)
		return
	}
	p.say(abi.StagePropose, abi.VerdictAccepted)
	p.step = stepReview
	if p.fromHost {
		p.step = stepAnalyze
	}
}

func (p *Pipeline) review() {
	report := p.reviewer.Check(p.candidate.slots(), &p.snapshot)
	p.candidate.code = report.Code
	p.candidate.values = [8]uint64{uint64(int64(report.Slot)), uint64(report.Steps)}
	if report.Code != abi.OK {
		p.reject(abi.StageReview)
		return
	}
	p.say(abi.StageReview, abi.VerdictAccepted)
	p.step = stepAnalyze
}

func (p *Pipeline) analyze() {
	if !p.analyzeCandidate() {
		p.reject(abi.StageAnalyze)
		return
	}
	p.say(abi.StageAnalyze, abi.VerdictAccepted)
	p.step = stepVerify
}

func (p *Pipeline) verify() {
	if !p.verifyCandidate() {
		p.reject(abi.StageVerify)
		return
	}
	p.say(abi.StageVerify, abi.VerdictAccepted)
	p.candidate.code = p.judge.Try(p.verified)
	if p.candidate.code != abi.OK {
		p.reject(abi.StageLoad)
		return
	}
	p.sendProgram()
	p.step = stepReplay
}

// replay is the dry run of one candidate.
func (p *Pipeline) replay() {
	report, done := p.judge.Step(eventsPerStep)
	if !done {
		return
	}
	p.candidate.code = report.Code
	if report.Code == abi.OK {
		p.sayDryRun(&report, abi.VerdictAccepted)
	} else {
		p.sayDryRun(&report, abi.VerdictRefused)
		p.remember(abi.StageDryRun, report.Code)
	}
	p.step = stepPropose
}

// choose sends the winner out as a canary.
func (p *Pipeline) choose() {
	chosen, report, any := p.judge.Choose()
	if !any {
		p.endRound(p.candidate.refusedBy, p.candidate.refusedFor)
		return
	}
	p.candidate.digest = chosen.Digest()
	compiled, whyNot := jit.Compile(chosen.Program(), &p.compiler)
	deployed, code := p.table.Begin(chosen, compiled, p.busiestCPU())
	if code != abi.OK {
		p.sayDeploy(deployed, abi.VerdictRefused, code)
		p.endRound(abi.StageDeploy, code)
		return
	}
	p.sayLoad(&report, deployed, whyNot)
	p.sayDeploy(deployed, abi.VerdictCanary, abi.OK)
	p.monitor.Begin(deployed)
	p.kept = false
	p.replyInstalled(deployed)
	p.window.Clear()
	p.trialSince = p.now
	p.step = stepTrial
}

// trial waits for enough clean events on the canary, then installs everywhere.
// A canary that gets no traffic shows no gain, and goes.
func (p *Pipeline) trial() (sleepNS uint64) {
	if p.answerDuringTrial() {
		return 0
	}
	if p.monitor.Events() < monitor.CanaryEvents {
		if p.now-p.trialSince > trialNS {
			p.rollBack(abi.ErrNoGain)
		}
		return pollNS
	}
	p.sayMonitor(abi.VerdictAccepted, abi.OK)
	deployed, code := p.table.Promote()
	if code != abi.OK {
		p.rollBack(code)
		return 0
	}
	p.sayDeploy(deployed, abi.VerdictInstalled, abi.OK)
	p.monitor.Begin(deployed)
	p.rest = restNS
	p.reopen(p.rest)
	return 0
}

// rollBack makes the previous version run again, tells why, and rests.
func (p *Pipeline) rollBack(code abi.Code) {
	p.sayMonitor(abi.VerdictRolledBack, code)
	p.banned.add(p.table.Digest(p.monitor.Index()), p.now+4*p.coolDown)
	p.takeBack(code)
	p.reopen(p.coolDown)
	p.coolDown = min(2*p.coolDown, coolDownNSMax)
}

// takeBack is the pointer swap of every rollback; the monitor turns to what
// runs now.
func (p *Pipeline) takeBack(reason abi.Code) (deploy.Deployed, abi.Code) {
	p.abortHostRound(reason)
	deployed, code := p.table.Rollback()
	p.monitor.Stop()
	if code != abi.OK {
		return deployed, code
	}
	p.sayDeploy(deployed, abi.VerdictRolledBack, reason)
	if deployed.Version() != 0 {
		p.monitor.Begin(deployed)
		p.kept = true // it had its final word already
	}
	return deployed, abi.OK
}

// endRound closes a round that installed nothing; each makes the next rest
// longer, so that steady traffic costs little thinking.
func (p *Pipeline) endRound(stage abi.Stage, code abi.Code) {
	if p.fromHost {
		p.replyRefused(stage, code)
	}
	if stage == abi.StageNone {
		p.candidate.code = abi.ErrNoCandidate
		p.candidate.digest = abi.Digest{}
		p.say(abi.StagePropose, abi.VerdictRefused)
	}
	p.reopen(p.rest)
	p.rest = min(2*p.rest, restNSMax)
}

// reopen starts a fresh window and rests for a while.
func (p *Pipeline) reopen(rest uint64) {
	p.window.Clear()
	p.fromHost = false
	p.restUntil = p.now + rest
	p.step = stepCollect
}

// reject ends one candidate, not the round.
func (p *Pipeline) reject(stage abi.Stage) {
	p.say(stage, abi.VerdictRefused)
	p.remember(stage, p.candidate.code)
	p.step = stepPropose
}

// Boot prepares everything; the built-in default runs. Once, before all else.
func (p *Pipeline) Boot(cpus int) {
	p.cpus = min(max(cpus, 1), abi.CPUMax)
	p.table.Boot(abi.HookNetRX, p.cpus)
	p.model.Reset()
	p.first()
}

// Reset gives the pipeline its first state back after a contained panic. What
// is installed on all CPUs stays and is watched; a canary is taken back.
func (p *Pipeline) Reset() {
	p.abortHostRound(abi.ErrPanic)
	p.table.Recover()
	p.monitor.Stop()
	p.first()
	if running := p.table.RunningDeployed(); running.Version() != 0 {
		p.monitor.Begin(running)
	}
	p.sayReset()
}

func (p *Pipeline) first() {
	p.judge.Reset()
	p.rest, p.coolDown = restNS, coolDownNS
	p.kept = false
	p.candidate.clear()
	p.reopen(0)
}

// SetSilent stops the kernel from proposing for itself; programs of the host
// still travel the whole way.
func (p *Pipeline) SetSilent(silent bool) { p.silent = silent }

// Rounds counts windows that were judged.
func (p *Pipeline) Rounds() uint64 { return p.rounds }
