package abi

// Stage names a box of the pipeline in a Record.
type Stage uint8

const (
	StageNone      Stage = 0
	StageTelemetry Stage = 1
	StagePropose   Stage = 2
	StageReview    Stage = 3
	StageAnalyze   Stage = 4
	StageVerify    Stage = 5
	StageDryRun    Stage = 6
	StageLoad      Stage = 7 // compile, or load into the interpreter
	StageDeploy    Stage = 8
	StageMonitor   Stage = 9
	StageFault     Stage = 10 // a contained panic and the reset that followed
	StageCount           = 11
)

// Verdict is what a stage said.
type Verdict uint8

const (
	VerdictNone       Verdict = 0
	VerdictAccepted   Verdict = 1 // goes on to the next stage
	VerdictRefused    Verdict = 2 // stops here; Code says why
	VerdictCanary     Verdict = 3 // installed on one CPU
	VerdictInstalled  Verdict = 4 // installed on all CPUs
	VerdictKept       Verdict = 5 // the monitor's final word: stays
	VerdictRolledBack Verdict = 6 // the previous version runs again
	VerdictObserved   Verdict = 7 // telemetry: a snapshot was taken
	VerdictReset      Verdict = 8 // a service was reset after a contained panic
	VerdictCount              = 9
)

// Digest is SHA-256 over program bytes in wire format.
type Digest [32]byte

// Record is one step of one candidate, 128 bytes. Values are per stage:
//
//	telemetry  events in window, delivered, no consumer, malformed, slots, mean cost, lost, 0
//	analyze    instructions, longest path, stack bytes, blocks
//	verify     states explored, instructions processed, register, wanted, found
//	dry run    baseline insn, candidate insn, wanted lost, replayed, running insn, index
//	load       index, candidate insn, baseline insn, bytes of compiled code (0: interpreted, Code says why)
//	deploy     CPU mask, previous version, swap cost insn
//	monitor    events, errors, audited, audited and wanted, mean cost, budget
//	fault      service, exception link register, exception syndrome, resets so far
type Record struct {
	Sequence    uint64
	TimeNS      uint64 // virtual ns since boot
	Stage       Stage
	Verdict     Verdict
	Hook        HookID
	CPU         uint8
	Code        Code
	Candidate   Digest
	SlotVersion uint32
	Instruction int32 // offending instruction slot, -1 where none
	Values      [8]uint64
}
