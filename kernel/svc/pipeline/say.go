package pipeline

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
)

// outbox holds what is being sent. Records have a sequence of their own without
// gaps, so that a reader knows that it has them all.
type outbox struct {
	event    abi.NetRXEvent
	record   abi.Record
	payload  [payloadBytes]byte
	frame    [abi.FrameHeaderBytes + payloadBytes]byte
	records  uint64
	streamed uint32 // sequence of the next frame that answers nobody
}

const digestBytes = 32
const payloadBytes = digestBytes + abi.ProgramTextBytesMax

// send frames the first bytes of payload.
func (o *outbox) send(kind uint16, sequence uint32, bytes int) {
	n := abi.PutFrame(o.frame[:], kind, sequence, o.payload[:bytes])
	if n > 0 {
		rt.SendFrame(o.frame[:n])
	}
}

// emit completes and sends the record that the caller has begun to fill.
func (p *Pipeline) emit(stage abi.Stage, verdict abi.Verdict, code abi.Code) {
	r := &p.outbox.record
	r.Sequence = p.outbox.records
	p.outbox.records++
	r.TimeNS = p.now
	r.Stage, r.Verdict, r.Hook, r.Code = stage, verdict, abi.HookNetRX, code
	n := r.Put(p.outbox.payload[:])
	p.outbox.send(abi.MessageRecord, p.outbox.streamed, n)
	p.outbox.streamed++
	*r = abi.Record{Instruction: -1}
}

// say records what a stage said about the candidate.
func (p *Pipeline) say(stage abi.Stage, verdict abi.Verdict) {
	c := &p.candidate
	r := &p.outbox.record
	r.Candidate, r.Instruction, r.Values = c.digest, c.instruction, c.values
	p.emit(stage, verdict, c.code)
}

func (p *Pipeline) saySnapshot() {
	s := &p.snapshot
	p.candidate.clear()
	mean := uint64(0)
	if s.Events > 0 {
		mean = s.CostInsn / uint64(s.Events)
	}
	r := &p.outbox.record
	r.Instruction = -1
	r.Values = [8]uint64{
		uint64(s.Events), uint64(s.ByOutcome[abi.OutcomeDelivered]), uint64(s.ByOutcome[abi.OutcomeNoConsumer]),
		uint64(s.ByOutcome[abi.OutcomeMalformed]), uint64(s.SlotCount), mean, s.Lost,
	}
	p.emit(abi.StageTelemetry, abi.VerdictObserved, abi.OK)
}

func (p *Pipeline) sayDryRun(report *dryrun.Report, verdict abi.Verdict) {
	c := &p.candidate
	c.code = report.Code
	c.values = [8]uint64{
		report.BaselineInsn, report.Insn, uint64(report.WantedLost), uint64(report.Replayed),
		report.RunningInsn, uint64(int64(c.number)), uint64(report.Blind), uint64(report.Audited),
	}
	c.instruction = -1
	p.say(abi.StageDryRun, verdict)
}

// sayLoad tells what the hook will run: compiled code of so many bytes, or, for
// the reason in whyNot, the interpreter.
func (p *Pipeline) sayLoad(report *dryrun.Report, deployed deploy.Deployed, whyNot abi.Code) {
	r := &p.outbox.record
	r.Candidate, r.SlotVersion, r.Instruction = p.candidate.digest, deployed.Version(), -1
	r.Values = [8]uint64{uint64(deployed.Index()), report.Insn, report.BaselineInsn, uint64(deployed.CodeBytes())}
	p.emit(abi.StageLoad, abi.VerdictAccepted, whyNot)
}

func (p *Pipeline) sayDeploy(deployed deploy.Deployed, verdict abi.Verdict, code abi.Code) {
	r := &p.outbox.record
	r.Candidate = p.candidate.digest
	if deployed.Index() != 0 {
		r.Candidate = p.table.Digest(deployed.Index())
	} else if verdict == abi.VerdictRolledBack {
		r.Candidate = abi.Digest{} // the built-in default has no bytes
	}
	r.SlotVersion, r.Instruction = deployed.Version(), -1
	r.Values = [8]uint64{uint64(deployed.CPUMask()), uint64(p.table.PreviousVersion()), deployed.SwapInsn}
	p.emit(abi.StageDeploy, verdict, code)
}

func (p *Pipeline) sayMonitor(verdict abi.Verdict, code abi.Code) {
	r := &p.outbox.record
	version, _ := p.monitor.Watching()
	r.Candidate, r.SlotVersion, r.Instruction = p.table.Digest(p.monitor.Index()), version, -1
	p.monitor.Describe(abi.HookNetRX, &r.Values)
	p.emit(abi.StageMonitor, verdict, code)
}

func (p *Pipeline) sayReset() {
	p.outbox.record.Instruction = -1
	p.emit(abi.StageFault, abi.VerdictReset, abi.ErrPanic)
}

// sendProgram streams the text of a candidate that verify accepted.
func (p *Pipeline) sendProgram() {
	c := &p.candidate
	if p.fromHost || c.textBytes == 0 {
		return // the host has it
	}
	n := copy(p.outbox.payload[:], c.digest[:])
	n += copy(p.outbox.payload[n:], c.text[:c.textBytes])
	p.outbox.send(abi.MessageProgram, p.outbox.streamed, n)
	p.outbox.streamed++
}

// busiestCPU is where a canary learns most.
func (p *Pipeline) busiestCPU() int { return p.window.BusiestCPU() }
