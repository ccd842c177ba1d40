package fuzz

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/emulate"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
)

// OracleJIT: compiled code under emulation and the interpreter disagree about
// r0, the packet, the context, or a register the code has no business with.
const OracleJIT = "jit-against-interpreter"

// jitBatchPrograms is how many programs one process runs: a process costs
// about 10 ms to start, a program about 0.1 ms to translate and run.
const jitBatchPrograms = 1000

// JITSession holds compiled code against the interpreter, in batches.
type JITSession struct {
	// Mutate, if set, changes compiled code: tests plant wrong templates.
	Mutate func(code []byte)

	checker   *Checker
	generator Generator
	inputs    Inputs
	compiler  jit.Workspace
	image     interp.Loaded
	machine   interp.Machine
	slots     [generateSlotsMax]bpf.Instruction

	batch    emulate.Batch
	expected []jitExpectation
	programs []jitProgram
	Refused  uint64 // accepted programs that jit does not compile
}

type jitExpectation struct {
	result  uint64
	packet  []byte
	context abi.NetRXContext
}

type jitProgram struct {
	slots []bpf.Instruction
	name  string
}

// NewJITSession makes a session; its memory is reused.
func NewJITSession() *JITSession { return &JITSession{checker: NewChecker()} }

// Add generates a program from the source, runs it in the interpreter and adds
// it to the batch. name is how to make it again.
func (s *JITSession) Add(source *Source, name string) (execs int, code abi.Code) {
	count := 0
	if source.OneIn(2) {
		count = s.generator.Generate(source, s.slots[:])
	} else {
		count = s.generator.GenerateDense(source, s.slots[:])
	}
	return s.AddProgram(s.slots[:count], source, name)
}

// AddProgram is Add for a given program; the source draws its inputs.
func (s *JITSession) AddProgram(program []bpf.Instruction, source *Source, name string) (execs int, code abi.Code) {
	verified, code := s.checker.Verify(program)
	if code != abi.OK {
		return 0, code
	}
	if code := interp.Load(verified, &s.image); code != abi.OK {
		return 0, code
	}
	compiled, code := jit.Compile(verified, &s.compiler)
	if code != abi.OK {
		s.Refused++
		return 0, code
	}
	machineCode := slices.Clone(compiled.Bytes())
	if s.Mutate != nil {
		s.Mutate(machineCode)
	}
	s.batch.Codes = append(s.batch.Codes, machineCode)
	s.programs = append(s.programs, jitProgram{slices.Clone(program), name})
	s.inputs.Prepare(program)
	for index := 0; index < inputsPerProgram; index++ {
		input, packet := s.inputs.Draw(index, source)
		var wire [32]byte
		input.Put(wire[:])
		s.batch.Calls = append(s.batch.Calls, emulate.Call{
			Code: len(s.batch.Codes) - 1, First: slices.Clone(wire[:]), Second: slices.Clone(packet), Third: uint64(len(packet)),
		})
		after := slices.Clone(packet)
		result, _, runCode := s.image.Run(&s.machine, &input, after, len(after))
		if runCode != abi.OK {
			return 0, runCode
		}
		s.expected = append(s.expected, jitExpectation{result, after, input})
	}
	return inputsPerProgram, abi.OK
}

// Flush runs the batch and returns the first disagreement.
func (s *JITSession) Flush(ctx context.Context) (*Finding, error) {
	defer func() { s.batch, s.expected, s.programs = emulate.Batch{}, nil, nil }()
	if len(s.batch.Calls) == 0 {
		return nil, nil
	}
	return s.compare(ctx, 0, len(s.batch.Calls))
}

// compare runs the calls from first to last; if the process dies, halves until
// the call that kills it is known.
func (s *JITSession) compare(ctx context.Context, first, last int) (*Finding, error) {
	part := emulate.Batch{Codes: s.batch.Codes, Calls: s.batch.Calls[first:last]}
	answers, err := emulate.Run(ctx, &part)
	var died *emulate.ErrDied
	switch {
	case errors.As(err, &died) && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &died) && last-first == 1:
		return s.finding(first, died.Why), nil
	case errors.As(err, &died):
		middle := (first + last) / 2
		if finding, err := s.compare(ctx, first, middle); finding != nil || err != nil {
			return finding, err
		}
		return s.compare(ctx, middle, last)
	case err != nil:
		return nil, err
	}
	for i, answer := range answers {
		want := &s.expected[first+i]
		call := &s.batch.Calls[first+i]
		switch {
		case answer.Result != want.result:
			return s.finding(first+i, fmt.Sprintf("compiled: r0 %#x; interpreted: r0 %#x", answer.Result, want.result)), nil
		case !bytes.Equal(answer.Second, want.packet):
			return s.finding(first+i, fmt.Sprintf("the packet was left as %x, by the interpreter as %x", answer.Second, want.packet)), nil
		case !bytes.Equal(answer.First, call.First):
			return s.finding(first+i, "the context was written to"), nil
		case answer.Spoiled != 0 || answer.Strayed:
			return s.finding(first+i, fmt.Sprintf("registers to be kept differ by %#x, bytes around the packet changed: %v", answer.Spoiled, answer.Strayed)), nil
		}
	}
	return nil, nil
}

func (s *JITSession) finding(index int, detail string) *Finding {
	call := &s.batch.Calls[index]
	program := s.programs[call.Code]
	wire := make([]byte, len(program.slots)*bpf.SlotBytes)
	bpf.Encode(program.slots, wire)
	text := make([]byte, 96*len(program.slots))
	n, _, _ := bpf.Disassemble(program.slots, text)
	return &Finding{Oracle: OracleJIT, Detail: detail, Repro: fmt.Sprintf("%s\nprogram %s\ncode %s\ncontext %x\npacket %x\n%s",
		program.name, hex.EncodeToString(wire), hex.EncodeToString(s.batch.Codes[call.Code]), call.First, call.Second, text[:n])}
}

// runJIT is the engine's loop over batches.
func runJIT(ctx context.Context, o Options, result *Result) {
	session := NewJITSession()
	var source Source
	var lengths []int
	for ctx.Err() == nil && (o.ProgramsMax == 0 || result.Programs < o.ProgramsMax) {
		execs := uint64(0)
		for n := 0; n < jitBatchPrograms && (o.ProgramsMax == 0 || result.Programs < o.ProgramsMax); n++ {
			source.ResetSeed(o.Seed + result.Programs*0x9e3779b97f4a7c15)
			ran, code := session.Add(&source, fmt.Sprintf("seed %d program %d", o.Seed, result.Programs))
			result.Programs++
			execs += uint64(ran)
			if code != abi.OK {
				result.Refusals[code.String()]++
				continue
			}
			lengths = append(lengths, len(session.programs[len(session.programs)-1].slots))
		}
		finding, err := session.Flush(ctx)
		if err != nil {
			if ctx.Err() == nil {
				result.Problem = err.Error()
			}
			break
		}
		result.Execs += execs
		if finding != nil {
			result.Findings = append(result.Findings, *finding)
			if len(result.Findings) >= o.FindingsMax {
				break
			}
		}
	}
	result.Abstained = session.Refused
	if result.Programs > 0 {
		result.AcceptedShare = float64(len(lengths)) / float64(result.Programs)
	}
	if len(lengths) > 0 {
		slices.Sort(lengths)
		result.MedianInsns = lengths[len(lengths)/2]
	}
}
