package pipeline

import (
	"sync/atomic"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
)

// inbox carries one request of the host from the control thread to the thread
// that pumps. state orders it: the control thread owns the other fields while
// it is writing, the pumping thread while it is full; both changes of owner
// are a store that the other side's load synchronises with.
type inbox struct {
	state        atomic.Uint32
	kind         hostRequest
	sequence     uint32
	request      abi.InstallRequest
	program      [abi.ProgramInstructionsMax * bpf.SlotBytes]byte
	programBytes int
	since        uint64 // when the pipeline first saw it
}

const (
	inboxEmpty   = 0
	inboxWriting = 1
	inboxFull    = 2
)

type hostRequest uint8

const (
	hostNothing  hostRequest = 0
	hostInstall  hostRequest = 1
	hostRollback hostRequest = 2
	hostWaits    hostRequest = 3 // a program is there, a window is not
)

// Install queues a program of the host. OK means that an InstallReply with
// this sequence number will follow as soon as a stage refuses the program or
// the canary is out; any other code means that nothing was queued.
func (p *Pipeline) Install(sequence uint32, request *abi.InstallRequest, program []byte) abi.Code {
	switch {
	case request.Hook != uint32(abi.HookNetRX):
		return abi.ErrUnknownHook
	case int(request.ProgramBytes) != len(program) || len(program)%bpf.SlotBytes != 0:
		return abi.ErrBadLength
	case len(program) == 0:
		return abi.ErrEmpty
	case len(program) > len(p.inbox.program):
		return abi.ErrTooLong
	}
	if !p.inbox.state.CompareAndSwap(inboxEmpty, inboxWriting) {
		return abi.ErrBusy
	}
	p.inbox.kind = hostInstall
	p.inbox.sequence = sequence
	p.inbox.request = *request
	p.inbox.programBytes = copy(p.inbox.program[:], program)
	p.inbox.since = 0
	p.inbox.state.Store(inboxFull)
	return abi.OK
}

// Rollback queues the return to the previous version; the reply follows.
func (p *Pipeline) Rollback(sequence uint32, hook uint32) abi.Code {
	if hook != uint32(abi.HookNetRX) {
		return abi.ErrUnknownHook
	}
	if !p.inbox.state.CompareAndSwap(inboxEmpty, inboxWriting) {
		return abi.ErrBusy
	}
	p.inbox.kind = hostRollback
	p.inbox.sequence = sequence
	p.inbox.state.Store(inboxFull)
	return abi.OK
}

// hostWants says what is in the inbox. A program waits for a window, though
// not for ever: without traffic the dry run has nothing to judge it by, and
// will say so.
func (p *Pipeline) hostWants() hostRequest {
	if p.inbox.state.Load() != inboxFull {
		return hostNothing
	}
	if p.inbox.kind == hostRollback {
		return hostRollback
	}
	if p.inbox.since == 0 {
		p.inbox.since = max(p.now, 1)
	}
	if !p.window.Full() && p.now-p.inbox.since < hostWaitNS {
		return hostWaits
	}
	return hostInstall
}

// answerDuringTrial takes a canary back for a host that asks for it, and tells
// a host that brings another program to come back when it waited long enough.
func (p *Pipeline) answerDuringTrial() (rolledBack bool) {
	switch p.hostWants() {
	case hostRollback:
		p.rollBackForHost()
		return true
	case hostInstall:
		if p.now-p.inbox.since >= hostWaitNS {
			p.replyRefused(abi.StageDeploy, abi.ErrBusy)
		}
	}
	return false
}

func (p *Pipeline) rollBackForHost() {
	var reply abi.InstallReply
	reply.Digest = p.table.Digest(p.table.Newest())
	p.banned.add(reply.Digest, p.now+4*p.coolDown)
	deployed, code := p.takeBack(abi.ErrRolledBack)
	reply.Code, reply.Stage, reply.Instruction = code, uint32(abi.StageDeploy), -1
	reply.SlotVersion = deployed.Version()
	p.reply(&reply)
	p.reopen(p.coolDown)
}

func (p *Pipeline) replyInstalled(deployed deploy.Deployed) {
	if !p.fromHost {
		return
	}
	var reply abi.InstallReply
	reply.Stage, reply.Instruction = uint32(abi.StageDeploy), -1
	reply.SlotVersion, reply.Digest = deployed.Version(), p.candidate.digest
	p.reply(&reply)
	p.fromHost = false
}

func (p *Pipeline) replyRefused(stage abi.Stage, code abi.Code) {
	var reply abi.InstallReply
	c := &p.candidate
	reply.Code, reply.Stage, reply.Instruction = code, uint32(stage), c.refusedAt
	reply.Digest = c.digest
	copy(reply.Values[:], c.refusedValues[:4])
	p.reply(&reply)
	p.fromHost = false
}

// abortHostRound answers a host whose program was under way when the ground
// changed beneath it.
func (p *Pipeline) abortHostRound(code abi.Code) {
	if p.fromHost {
		p.replyRefused(abi.StageDryRun, code)
	}
}

func (p *Pipeline) reply(reply *abi.InstallReply) {
	sequence := p.inbox.sequence
	p.inbox.state.Store(inboxEmpty)
	n := reply.Put(p.outbox.payload[:])
	p.outbox.send(abi.MessageInstallReply, sequence, n)
}

// InstallJob takes a measured job's program through analyze and verify onto
// all CPUs, at once, on the caller's thread and before any packet is offered.
// There is no window yet and no dry run: such a job exists to measure, and the
// lab is its judge. Boot must have run; Pump must not be running.
func (p *Pipeline) InstallJob(program []byte) (index int, reply abi.InstallReply) {
	c := &p.candidate
	c.clear()
	if c.count, c.instruction, c.code = decode(program, c.instructions[:]); c.code != abi.OK {
		return p.refuseJob(abi.StagePropose)
	}
	c.digest = bpf.Digest(c.slots())
	if !p.analyzeCandidate() {
		return p.refuseJob(abi.StageAnalyze)
	}
	if !p.verifyCandidate() {
		return p.refuseJob(abi.StageVerify)
	}
	chosen, code := p.judge.Waive(p.verified)
	if c.code = code; code != abi.OK {
		return p.refuseJob(abi.StageLoad)
	}
	return p.installNow(chosen)
}

func (p *Pipeline) refuseJob(stage abi.Stage) (index int, reply abi.InstallReply) {
	c := &p.candidate
	reply.Code, reply.Stage, reply.Instruction, reply.Digest = c.code, uint32(stage), c.instruction, c.digest
	copy(reply.Values[:], c.values[:4])
	p.say(stage, abi.VerdictRefused)
	return 0, reply
}

func (p *Pipeline) installNow(chosen dryrun.Chosen) (index int, reply abi.InstallReply) {
	reply.Stage, reply.Instruction, reply.Digest = uint32(abi.StageDeploy), -1, p.candidate.digest
	compiled, whyNot := jit.Compile(chosen.Program(), &p.compiler)
	trial, code := p.table.Begin(chosen, compiled, 0)
	if reply.Code = code; code != abi.OK {
		return 0, reply
	}
	p.sayLoad(&dryrun.Report{}, trial, whyNot)
	deployed, code := p.table.Promote()
	reply.Code, reply.SlotVersion = code, deployed.Version()
	p.sayDeploy(deployed, abi.VerdictInstalled, code)
	p.monitor.Begin(deployed) // for jobs that go on to live; measured ones never pump
	return deployed.Index(), reply
}

// Decide is the hook's question on the packet path of every CPU, for programs
// without compiled code, and the simulation's: what does the program at this
// index say about the packet? It runs beside Pump; the hook
// publication orders what it reads, see deploy.
func (p *Pipeline) Decide(cpu int, index uint32, context *abi.NetRXContext, packet []byte) (action uint32, code abi.Code) {
	action, _, code = p.DecideSteps(cpu, index, context, packet)
	return action, code
}

// DecideSteps is Decide with the number of instructions the program took.
func (p *Pipeline) DecideSteps(cpu int, index uint32, context *abi.NetRXContext, packet []byte) (action, steps uint32, code abi.Code) {
	program := p.table.Program(index)
	if program == nil {
		return abi.NetRXAborted, 0, abi.ErrNotFound
	}
	result, steps, code := program.Run(&p.machines[cpu], context, packet, len(packet))
	if code != abi.OK {
		return abi.NetRXAborted, steps, code
	}
	return uint32(result), steps, abi.OK
}

// Attest hashes what lies at an index; see deploy.Table.Attest.
func (p *Pipeline) Attest(index int, nonce []byte, events uint64, program, attestation *abi.Digest) abi.Code {
	return p.table.Attest(index, nonce, events, program, attestation)
}

// ProgramDigest names what lies at an index; zero for the built-in default.
func (p *Pipeline) ProgramDigest(index int) abi.Digest { return p.table.Digest(index) }

// ResetCPU gives one CPU's interpreter its first state back after a contained
// panic on the packet path.
func (p *Pipeline) ResetCPU(cpu int) { p.machines[cpu] = interp.Machine{} }
