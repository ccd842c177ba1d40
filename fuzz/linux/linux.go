//go:build linux

// Package linux holds our verifier and interpreter against Linux's: generated
// programs are judged by both, and what both accept runs on the same packets
// by BPF_PROG_TEST_RUN and in our interpreter. It runs wherever bpf(2) is
// permitted: on a host as root, and in the Linux guest (make oracle).
//
// What it holds: what we accept, Linux accepts; what both accept returns the
// same number and leaves the same packet. Linux knows less than we do of a few
// operators, so every other program is written without them (level) and has to
// get the same verdict; of the rest, a program that only we accept is taken
// through state containment instead. What Linux accepts and we refuse is
// precision we owe; it is counted by our reason and is no failure.
package linux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/kingly-os/go-kernel/fuzz"
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// What BPF_PROG_TEST_RUN gives an XDP program without a context of its own:
// the loopback interface and its first queue, and no frame below a header.
const (
	loopbackIndex  = 1
	packetBytesMin = 14
)

// inputsPerProgram: a test run costs about as much as a load.
const inputsPerProgram = 4

// findingsMax ends a comparison: each finding asks for a person.
const findingsMax = 10

// DifferencesMax is how many differences are no failure: one in 20,000, which
// is none in a short run. Ranges and known bits together still tell us more
// than they tell Linux (a number of at least 22 whose low ten bits are 5 is at
// least 1029; Linux 6.12 reports a violated invariant there), and Linux refuses a small number as an offset if it once was a
// copy plus a large constant. A wrong bound shows in one program of a hundred.
func (r *Result) DifferencesMax() int { return int(r.Programs / 20000) }

// Options of a comparison.
type Options struct {
	Seed     uint64
	Programs uint64
	Progress func(done uint64) // called now and then; may be nil
}

// Result is what a comparison saw. Debt counts the programs that Linux accepts
// and we refuse under the same (lenient) rules, by our reason.
type Result struct {
	Programs   uint64
	Ours       uint64 // accepted by us, strict rules
	Lenient    uint64 // accepted by us, lenient rules
	Theirs     uint64 // accepted by Linux, lenient rules
	Finer      uint64 // accepted by us and not by Linux, which knows less of some operators; see level
	Abstained  uint64 // Linux ran out of budget or memory: no verdict
	Runs       uint64 // program on packet, both ways
	Debt       map[abi.Code]uint64
	DebtSample map[abi.Code]string // one program for each reason
	Findings   []string
	// Differences are levelled programs that only we accept. See DifferencesMax.
	Differences []string
}

// Oracle asks both sides. Its memory is made once.
type Oracle struct {
	analyzer *analyze.Workspace
	strict   *verify.Workspace
	lenient  *verify.Workspace
	loaded   interp.Loaded
	machine  interp.Machine
	session  *fuzz.Session // state containment, for what Linux refuses
	levelled bool
}

// NewOracle makes an oracle, or says why Linux cannot be asked here.
func NewOracle() (*Oracle, error) {
	program, err := load([]bpf.Instruction{{Opcode: bpf.OpcodeMove}, {Opcode: bpf.OpcodeExit}})
	if err != nil {
		return nil, fmt.Errorf("bpf(2) loads no XDP program here: %w", err)
	}
	_ = program.Close()
	return withoutLinux(), nil
}

// withoutLinux makes what asks our side only.
func withoutLinux() *Oracle {
	o := &Oracle{analyzer: analyze.NewWorkspace(abi.ProgramInstructionsMax), strict: verify.NewWorkspace(), lenient: verify.NewWorkspace(),
		session: fuzz.NewSession(), levelled: true}
	o.lenient.Rules = verify.RulesLenient
	return o
}

// load asks Linux for a verdict.
func load(instructions []bpf.Instruction) (*ebpf.Program, error) {
	wire := make([]byte, len(instructions)*bpf.SlotBytes)
	bpf.Encode(instructions, wire)
	list, err := asm.AppendInstructions(nil, bytes.NewReader(wire), binary.LittleEndian, "")
	if err != nil {
		return nil, err
	}
	return ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{Name: "oracle", Type: ebpf.XDP, License: "GPL", Instructions: list},
		ebpf.ProgramOptions{LogDisabled: true})
}

// whyRefused asks again, with the log on.
func whyRefused(instructions []bpf.Instruction) string {
	wire := make([]byte, len(instructions)*bpf.SlotBytes)
	bpf.Encode(instructions, wire)
	list, err := asm.AppendInstructions(nil, bytes.NewReader(wire), binary.LittleEndian, "")
	if err != nil {
		return err.Error()
	}
	_, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "oracle", Type: ebpf.XDP, License: "GPL", Instructions: list})
	var refusal *ebpf.VerifierError
	if errors.As(err, &refusal) {
		return fmt.Sprintf("%+v", refusal)
	}
	return fmt.Sprint(err)
}

// noVerdict says that Linux gave up without judging.
func noVerdict(err error) bool {
	for _, code := range []syscall.Errno{syscall.E2BIG, syscall.ENOMEM, syscall.EAGAIN, syscall.EFAULT, syscall.EINTR} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// Compare generates programs and holds both sides against each other.
func (o *Oracle) Compare(options Options) Result {
	result := Result{Debt: map[abi.Code]uint64{}, DebtSample: map[abi.Code]string{}}
	var generator fuzz.Generator
	var source fuzz.Source
	slots := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	for ; result.Programs < options.Programs && len(result.Findings)+len(result.Differences) < findingsMax+result.DifferencesMax(); result.Programs++ {
		source.ResetSeed(fuzz.ProgramSeed(options.Seed, result.Programs))
		program := slots[:generator.Generate(&source, slots)]
		onlyXDP(program)
		o.levelled = result.Programs%2 == 0
		if o.levelled {
			level(program)
		}
		o.Judge(program, program, &source, &result)
		if options.Progress != nil && result.Programs%500 == 499 {
			options.Progress(result.Programs + 1)
		}
	}
	return result
}

// onlyXDP turns loads of fields that only our hook's context has into loads of
// fields that struct xdp_md has too.
func onlyXDP(program []bpf.Instruction) {
	for index := range program {
		instruction := &program[index]
		if instruction.Class() == bpf.ClassLDX && instruction.Source() == 1 && instruction.Offset >= 24 {
			instruction.Offset -= 12
		}
	}
}

// level replaces what Linux knows less about than we do by something both know
// alike: the results of division, modulo, byte swaps, negation, sign-extending
// moves and shifts by a register, bit tests, bytes from the middle of a spilled
// number, and a register compared with itself.
func level(program []bpf.Instruction) {
	for index := 0; index < len(program); index++ {
		instruction := &program[index]
		if instruction.IsWide() {
			index++
			continue
		}
		alone := bpf.Instruction{Opcode: instruction.Opcode &^ bpf.SourceX, Registers: instruction.Destination(), Immediate: 5}
		switch instruction.Class() {
		case bpf.ClassALU, bpf.ClassALU64:
			switch operation := instruction.Operation(); operation {
			case bpf.OperationDiv, bpf.OperationMod, bpf.OperationEnd, bpf.OperationNeg:
				*instruction = alone
				instruction.Opcode = instruction.Class() | bpf.OperationXor
			case bpf.OperationMov:
				instruction.Offset = 0
			case bpf.OperationLsh, bpf.OperationRsh, bpf.OperationArsh:
				if instruction.FromRegister() {
					*instruction = alone
				}
			}
		case bpf.ClassLDX:
			isStack := instruction.Source() == bpf.FramePointer || instruction.Source() == 9
			if isStack && bpf.SizeBytes(instruction.Opcode) < 8 && instruction.Offset%8 != 0 {
				*instruction = alone
				instruction.Opcode = bpf.OpcodeMove
			}
		case bpf.ClassJMP, bpf.ClassJMP32:
			if instruction.IsConditional() && instruction.FromRegister() && instruction.Source() == instruction.Destination() {
				alone.Offset = instruction.Offset
				*instruction = alone
			}
			if instruction.Operation() == bpf.JumpSet {
				instruction.Opcode += bpf.JumpNotEqual - bpf.JumpSet
			}
		}
	}
}

// Judge takes one program through both and adds to the result. It returns our
// strict verdict and whether Linux accepts. Linux gets it as it was
// written, before its blocks were put in order.
func (o *Oracle) Judge(program, written []bpf.Instruction, source *fuzz.Source, result *Result) (code abi.Code, theirs bool) {
	accepted, code := o.ours(program, o.strict)
	_, lenientCode := o.ours(program, o.lenient)
	kernel, err := load(written)
	if noVerdict(err) {
		result.Abstained++
		return code, false
	}
	if code == abi.OK {
		result.Ours++
	}
	if lenientCode == abi.OK {
		result.Lenient++
	}
	if err != nil {
		if code == abi.OK || lenientCode == abi.OK {
			o.alone(program, written, source, result, fmt.Sprintf("strict: %v, lenient: %v, Linux: %v", code, lenientCode, err))
		}
		return code, false
	}
	defer kernel.Close()
	result.Theirs++
	if lenientCode != abi.OK {
		if result.Debt[lenientCode]++; result.Debt[lenientCode] == 1 {
			result.DebtSample[lenientCode] = text(program)
		}
	}
	if code == abi.OK {
		o.runBoth(program, accepted, kernel, source, result)
	}
	return code, true
}

// alone takes in a program that only we accept: a finding if some run of it
// leaves the explored states, a difference if it is a levelled one.
func (o *Oracle) alone(program, written []bpf.Instruction, source *fuzz.Source, result *Result, verdicts string) {
	if outcome := o.session.Judge(program, source); outcome.Finding != nil {
		result.find("Linux refuses it, and %s: %s\n%s", outcome.Finding.Oracle, outcome.Finding.Detail, outcome.Finding.Repro)
	}
	if !o.levelled {
		result.Finer++
		return
	}
	result.Differences = append(result.Differences, fmt.Sprintf("we accept, Linux does not (%s)\n%s%s", verdicts, text(program), whyRefused(written)))
}

// ours is our verdict under one rule set.
func (o *Oracle) ours(program []bpf.Instruction, workspace *verify.Workspace) (verify.Program, abi.Code) {
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: bpf.TypeXDP, Instructions: program}, o.analyzer)
	if report.Code != abi.OK {
		return verify.Program{}, report.Code
	}
	accepted, fault := verify.Check(analyzed, workspace)
	return accepted, fault.Code
}

// runBoth runs an accepted program on drawn packets.
func (o *Oracle) runBoth(program []bpf.Instruction, accepted verify.Program, kernel *ebpf.Program, source *fuzz.Source, result *Result) {
	if code := interp.Load(accepted, &o.loaded); code != abi.OK {
		result.find("our interpreter does not load an accepted program: %v\n%s", code, text(program))
		return
	}
	var inputs fuzz.Inputs
	inputs.Prepare(program)
	for index := 0; index < inputsPerProgram; index++ {
		_, packet := inputs.Draw(index+1, source)
		if len(packet) >= packetBytesMin {
			o.RunOne(program, packet, kernel, result)
		}
	}
}

// RunOne runs the loaded program on one packet both ways.
func (o *Oracle) RunOne(program []bpf.Instruction, packet []byte, kernel *ebpf.Program, result *Result) {
	theirPacket := make([]byte, len(packet)+256)
	options := ebpf.RunOptions{Data: packet, DataOut: theirPacket, Repeat: 1}
	theirValue, err := kernel.Run(&options)
	if err != nil {
		result.find("BPF_PROG_TEST_RUN: %v\n%s", err, text(program))
		return
	}
	ourPacket := bytes.Clone(packet)
	context := abi.NetRXContext{DataEnd: uint32(len(packet)), IngressIfindex: loopbackIndex}
	ourValue, _, code := o.loaded.Run(&o.machine, &context, ourPacket, len(ourPacket))
	result.Runs++
	if code != abi.OK || uint32(ourValue) != theirValue || !bytes.Equal(ourPacket, options.DataOut) {
		result.find("on packet %x: ours r0 %#x, %v, packet %x; Linux r0 %#x, packet %x\n%s",
			packet, uint32(ourValue), code, ourPacket, theirValue, options.DataOut, text(program))
	}
}

func (r *Result) find(format string, a ...any) {
	r.Findings = append(r.Findings, fmt.Sprintf(format, a...))
}

// text is the program as `lab verify` takes it.
func text(program []bpf.Instruction) string {
	out := make([]byte, 96*len(program))
	n, _, _ := bpf.Disassemble(program, out)
	return "; type: xdp\n" + string(out[:n])
}
