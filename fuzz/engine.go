package fuzz

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"syscall"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Result is what a run of a target did. One execution is one program on one
// input (for parsers: one input).
type Result struct {
	Target        string
	Oracles       []string
	Seed          uint64
	Programs      uint64
	Execs         uint64
	CPU           time.Duration
	AcceptedShare float64
	MedianInsns   int
	BothWaysShare float64 // of accepted programs: a branch taken both ways
	MemoryShare   float64 // of accepted programs: packet or variable access
	Abstained     uint64
	Refusals      map[string]uint64
	Findings      []Finding
	Problem       string // why the target could not run at all, such as a missing tool
}

// Options of a run: it ends at whichever bound comes first.
type Options struct {
	Seed        uint64
	For         time.Duration // 0 = no bound
	ProgramsMax uint64        // 0 = no bound
	FindingsMax int           // 0 = 1
}

// target is one thing to fuzz.
type target struct {
	oracles []string
	run     func(ctx context.Context, o Options, result *Result)
}

var targets = map[string]target{
	"verify":   {[]string{OracleContainment, OracleSanitiser, OracleTwin, OraclePruning, OracleLongestPath}, runVerify},
	"decode":   {[]string{OracleRoundTrip, OraclePanic}, parser(decodeInput, oneDecode)},
	"assemble": {[]string{OracleRoundTrip, OraclePanic}, parser(assembleInput, oneAssemble)},
	"elf":      {[]string{OraclePanic, OracleRoundTrip}, parser(elfInput, oneELF)},
	"jit":      {[]string{OracleJIT}, runJIT},
}

// Targets lists the names.
func Targets() []string {
	var names []string
	for name := range targets {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Run runs a target until its bound, a finding or the end of ctx.
func Run(ctx context.Context, name string, o Options) (*Result, error) {
	t, ok := targets[name]
	if !ok {
		return nil, fmt.Errorf("no fuzz target %q; there are %v", name, Targets())
	}
	if o.FindingsMax == 0 {
		o.FindingsMax = 1
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	result := &Result{Target: name, Oracles: t.oracles, Seed: o.Seed, Refusals: map[string]uint64{}}
	before := cpuTime()
	t.run(ctx, o, result)
	result.CPU = cpuTime() - before
	return result, nil
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// inputsPerProgram: enough for the lengths around each check and both sides of
// a few branches, few enough that new programs matter more.
const inputsPerProgram = 12

// pruningEvery: the second verification costs as much as the rest together.
const pruningEvery = 16

// Session takes one program at a time through everything; it is what both the
// engine and `go test -fuzz` use.
type Session struct {
	Checker   *Checker
	generator Generator
	inputs    Inputs
	slots     [generateSlotsMax]bpf.Instruction
	programs  uint64
}

// NewSession makes a session; its memory is made once.
func NewSession() *Session { return &Session{Checker: NewChecker()} }

// Outcome of one generated program.
type Outcome struct {
	Program  []bpf.Instruction
	Code     abi.Code
	Execs    int
	BothWays bool
	Memory   bool
	Finding  *Finding
}

// One generates a program from the source and takes it through every oracle.
func (s *Session) One(source *Source) Outcome {
	count := s.generator.Generate(source, s.slots[:])
	return s.Judge(s.slots[:count], source)
}

// Judge takes a given program through every oracle.
func (s *Session) Judge(program []bpf.Instruction, source *Source) Outcome {
	s.programs++
	accepted, code := s.Checker.Verify(program)
	outcome := Outcome{Program: program, Code: code}
	if s.programs%pruningEvery == 0 {
		if outcome.Finding = s.Checker.PruningAgrees(code == abi.OK); outcome.Finding != nil {
			return outcome
		}
	}
	if code != abi.OK {
		return outcome
	}
	if outcome.Finding = s.Checker.Load(accepted); outcome.Finding != nil {
		return outcome
	}
	s.inputs.Prepare(program)
	s.Checker.resetBranches()
	for index := 0; index < inputsPerProgram; index++ {
		context, packet := s.inputs.Draw(index, source)
		outcome.Execs++
		if outcome.Finding = s.Checker.Run(context, packet); outcome.Finding != nil {
			return outcome
		}
	}
	outcome.BothWays, outcome.Memory = s.Checker.bothWays(), touchesMemory(program)
	return outcome
}

// touchesMemory: a packet access by a pointer other than the context.
func touchesMemory(program []bpf.Instruction) bool {
	for _, instruction := range program[2:] {
		if instruction.Class() == bpf.ClassLDX && instruction.Source() != 1 {
			return true
		}
	}
	return false
}

func runVerify(ctx context.Context, o Options, result *Result) {
	session := NewSession()
	var source Source
	var lengths []int
	var accepted, both, memory uint64
	for ctx.Err() == nil && (o.ProgramsMax == 0 || result.Programs < o.ProgramsMax) {
		source.ResetSeed(ProgramSeed(o.Seed, result.Programs))
		outcome := session.One(&source)
		result.Programs++
		result.Execs += uint64(outcome.Execs)
		if outcome.Finding != nil {
			outcome.Finding.Repro = fmt.Sprintf("seed %d program %d\n%s", o.Seed, result.Programs-1, outcome.Finding.Repro)
			result.Findings = append(result.Findings, *outcome.Finding)
			if len(result.Findings) >= o.FindingsMax {
				break
			}
			continue
		}
		if outcome.Code != abi.OK {
			result.Refusals[outcome.Code.String()]++
			continue
		}
		accepted++
		if outcome.BothWays {
			both++
		}
		if outcome.Memory {
			memory++
		}
		if len(lengths) < 100000 {
			lengths = append(lengths, len(outcome.Program))
		}
	}
	result.Abstained = session.Checker.Abstained
	if result.Programs > 0 {
		result.AcceptedShare = float64(accepted) / float64(result.Programs)
	}
	if accepted > 0 {
		result.BothWaysShare = float64(both) / float64(accepted)
		result.MemoryShare = float64(memory) / float64(accepted)
	}
	if len(lengths) > 0 {
		slices.Sort(lengths)
		result.MedianInsns = lengths[len(lengths)/2]
	}
}
