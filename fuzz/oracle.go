package fuzz

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// The oracles, by the name a finding carries.
const (
	OracleContainment = "state-containment" // a concrete value outside every explored state
	OracleSanitiser   = "sanitising-run"    // an accepted program tripped a check of the slow interpreter
	OracleTwin        = "fast-against-slow" // the two interpreters disagree
	OraclePruning     = "pruning-on-off"    // another verdict without pruning
	OracleLongestPath = "longest-path"      // more steps than the analysis promised
	OracleRoundTrip   = "text-round-trip"   // disassembly does not assemble back
	OraclePanic       = "panic"             // the component under test crashed
)

// Finding is one violation, with everything to repeat it.
type Finding struct {
	Oracle string
	Detail string
	Repro  string
}

// statesMax bounds what is recorded of one verification; programs with more
// states are run without the containment oracle and counted as abstained.
const statesMax = 1024

// recordedState is one explored state, with what containment asks of it.
type recordedState struct {
	slot  int
	next  int // of the same slot, -1 ends
	state verify.State
}

// Checker takes programs through the verifier and every oracle. It is reused:
// all memory is made once.
type Checker struct {
	analyzer  analyze.Workspace
	verifier  *verify.Workspace
	unpruned  *verify.Workspace
	slow      interp.Reference
	fast      interp.Loaded
	machine   interp.Machine
	states    []recordedState
	used      int
	first     [abi.ProgramInstructionsMax]int
	live      liveness
	overflow  bool
	finding   *Finding
	program   []bpf.Instruction
	packet    []byte
	original  []byte
	context   abi.NetRXContext
	Abstained uint64 // programs with too many states to record

	// Where branches of the current program went: bit 0 passed, bit 1 taken.
	branches [abi.ProgramInstructionsMax]uint8
	last     int // the branch just before, -1 if none
}

// NewChecker makes a checker.
func NewChecker() *Checker {
	c := &Checker{verifier: verify.NewWorkspace(), unpruned: verify.NewWorkspace(), states: make([]recordedState, statesMax)}
	c.verifier.Observe = c.observe
	c.unpruned.NoPruning = true
	c.slow.StepsMax = 4096
	c.slow.Visit = c.visit
	c.packet = make([]byte, abi.PacketBytesMax)
	c.original = make([]byte, abi.PacketBytesMax)
	return c
}

func (c *Checker) observe(slot int, state *verify.State) {
	if c.used == len(c.states) {
		c.overflow = true
		return
	}
	entry := &c.states[c.used]
	entry.slot, entry.next = slot, c.first[slot]
	entry.state.CopyFrom(state)
	c.first[slot] = c.used
	c.used++
}

// Verify analyses and verifies a program, recording the explored states.
func (c *Checker) Verify(program []bpf.Instruction) (verify.Program, abi.Code) {
	c.program, c.used, c.overflow, c.finding = program, 0, false, nil
	for slot := range program {
		if slot < len(c.first) {
			c.first[slot] = -1
		}
	}
	candidate := bpf.Candidate{Hook: abi.HookNetRX, Instructions: program}
	analyzed, report := analyze.Check(candidate, &c.analyzer)
	if report.Code != abi.OK {
		return verify.Program{}, report.Code
	}
	accepted, fault := verify.Check(analyzed, c.verifier)
	if fault.Code == abi.OK {
		c.live.compute(program)
	}
	if c.overflow {
		c.Abstained++
	}
	return accepted, fault.Code
}

// PruningAgrees verifies the last program again without pruning. A budget that
// ran out says nothing.
func (c *Checker) PruningAgrees(accepted bool) *Finding {
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: c.program}, &c.analyzer)
	if report.Code != abi.OK {
		return nil
	}
	_, fault := verify.Check(analyzed, c.unpruned)
	if fault.Code == abi.ErrComplexity || (fault.Code == abi.OK) == accepted {
		return nil
	}
	return c.found(OraclePruning, fmt.Sprintf("accepted with pruning: %v; without: %v at %d", accepted, fault.Code, fault.Instruction))
}

// Load prepares an accepted program for runs.
func (c *Checker) Load(program verify.Program) *Finding {
	c.slow.Instructions = c.program
	if code := interp.Load(program, &c.fast); code != abi.OK {
		return c.found(OracleTwin, fmt.Sprintf("the interpreter does not load it: %v", code))
	}
	return nil
}

// Run runs the loaded program on one packet in both interpreters and holds
// every state against the explored ones.
func (c *Checker) Run(context abi.NetRXContext, packet []byte) *Finding {
	c.context, c.last = context, -1
	copy(c.original, packet)
	slowPacket := c.packet[:len(packet)]
	copy(slowPacket, packet)
	slowResult, slowCode := c.slow.RunPacket(&c.context, slowPacket)
	if c.finding != nil {
		return c.finding
	}
	if slowCode != abi.OK {
		return c.found(OracleSanitiser, fmt.Sprintf("%v at instruction %d after %d steps", slowCode, c.slow.Slot(), c.slow.Steps))
	}
	if c.slow.Steps > c.fast.LongestPath() {
		return c.found(OracleLongestPath, fmt.Sprintf("%d steps, promised %d", c.slow.Steps, c.fast.LongestPath()))
	}
	fastResult, steps, fastCode := c.fast.Run(&c.machine, &c.context, packet, len(packet))
	if fastCode != slowCode || fastResult != slowResult || steps != c.slow.Steps || !bytes.Equal(packet, slowPacket) {
		copy(packet, c.original)
		return c.found(OracleTwin, fmt.Sprintf("fast: r0 %#x, %d steps, %v; slow: r0 %#x, %d steps, %v", fastResult, steps, fastCode, slowResult, c.slow.Steps, slowCode))
	}
	copy(packet, c.original)
	return nil
}

// found makes a finding of the current program and input.
func (c *Checker) found(oracle, detail string) *Finding {
	wire := make([]byte, len(c.program)*bpf.SlotBytes)
	bpf.Encode(c.program, wire)
	text := make([]byte, 96*len(c.program))
	n, _, _ := bpf.Disassemble(c.program, text)
	return &Finding{Oracle: oracle, Detail: detail, Repro: fmt.Sprintf("program %s\ncontext %+v\npacket %s\n%s",
		hex.EncodeToString(wire), c.context, hex.EncodeToString(c.original[:min(len(c.slow.Packet), len(c.original))]), text[:n])}
}

// visit is the containment oracle: called before each instruction of the slow
// interpreter, it looks for an explored state that holds what is there.
func (c *Checker) visit(slot int, m *interp.Reference) {
	c.noteBranch(slot)
	if c.finding != nil || c.overflow {
		return
	}
	why := "no state was explored there"
	for index := c.first[slot]; index >= 0; index = c.states[index].next {
		missing := c.contains(&c.states[index].state, slot, m)
		if missing == nil {
			return
		}
		why = missing.String()
	}
	c.finding = c.found(OracleContainment, fmt.Sprintf("before instruction %d: %s", slot, why))
}

// noteBranch remembers which way the previous branch went.
func (c *Checker) noteBranch(slot int) {
	if c.last >= 0 {
		if slot == c.last+1 {
			c.branches[c.last] |= 1
		} else {
			c.branches[c.last] |= 2
		}
	}
	c.last = -1
	if c.program[slot].IsConditional() && c.program[slot].Offset != 0 {
		c.last = slot
	}
}

func (c *Checker) resetBranches() {
	clear(c.branches[:len(c.program)])
	c.last = -1
}

// bothWays says that some branch was taken and passed over the inputs so far.
func (c *Checker) bothWays() bool {
	for slot := range c.program {
		if c.branches[slot] == 3 {
			return true
		}
	}
	return false
}
