package loop

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/optimizer/propose"
)

// Proposal is a candidate on its way through the host's stages.
type Proposal struct {
	Name   string
	Role   experiment.Role
	Origin string
	Text   string // assembly, or
	Object []byte // an ELF file

	Stage   abi.Stage // the last stage it reached
	Code    abi.Code  // OK: accepted there
	Said    string    // the stage's reason, for people
	Program []byte    // wire format, once decoded
	Digest  abi.Digest
	Slots   int
	Longest uint32
	States  uint32
}

// Accepted says that the kernel's own stages let it through on the host.
func (p *Proposal) Accepted() bool { return p.Stage == abi.StageVerify && p.Code == abi.OK }

// planted makes what every campaign carries: the default as a program, the same
// with useless instructions of a random count at a random place, and the cheats.
func planted(seed uint64, w *propose.Window) []Proposal {
	random := rand.New(rand.NewPCG(seed, 0x706c616e74))
	useless := 1 + random.IntN(8)
	var slow strings.Builder
	slow.WriteString("; type: net.rx\n")
	for range useless {
		fmt.Fprintf(&slow, "r%d = %d\n", 1+random.IntN(5), random.IntN(1<<16))
	}
	slow.WriteString("r0 = 2\nexit\n")
	proposals := []Proposal{
		{Name: "pass", Role: experiment.RolePass, Origin: "the default, written as a program", Text: "; type: net.rx\nr0 = 2\nexit\n"},
		{Name: "planted-regression", Role: experiment.RolePlant, Text: slow.String(),
			Origin: fmt.Sprintf("the default with %d useless instructions", useless)},
	}
	cheats := propose.Cheats(w)
	for _, name := range propose.CheatNames {
		proposals = append(proposals, Proposal{Name: name, Role: experiment.RoleCheat,
			Origin: "planted loser", Text: cheats[name].Print()})
	}
	return proposals
}

// admit takes every proposal through the stages the kernel ships: assemble or
// load, analyze, verify. Two proposals of the same bytes are measured once. It
// fails when a planted program is refused: then the stages are wrong.
func admit(proposals []Proposal) (string, error) {
	desk := &desk{analyze: analyze.NewWorkspace(abi.ProgramInstructionsMax), verify: verify.NewWorkspace()}
	seen := map[abi.Digest]string{}
	accepted, refused := 0, 0
	for i := range proposals {
		p := &proposals[i]
		desk.judge(p)
		if other, twice := seen[p.Digest]; p.Accepted() && twice {
			p.Code, p.Said = abi.ErrNoGain, "the same program as "+other
		}
		if !p.Accepted() {
			refused++
			if p.Role != experiment.RoleCandidate {
				return "", fmt.Errorf("the planted %s was refused on the host: %s", p.Name, p.Said)
			}
			continue
		}
		accepted++
		seen[p.Digest] = p.Name
	}
	return fmt.Sprintf("%d accepted, %d refused", accepted, refused), nil
}

// desk holds the stages' memory.
type desk struct {
	analyze *analyze.Workspace
	verify  *verify.Workspace
	labels  [256]bpf.Label
	slots   [abi.ProgramInstructionsMax]bpf.Instruction
}

func (d *desk) judge(p *Proposal) {
	kind, instructions, err := d.read(p)
	p.Stage = abi.StagePropose
	if err != nil {
		p.Code, p.Said = abi.ErrSyntax, err.Error()
		return
	}
	p.Program = make([]byte, bpf.SlotBytes*len(instructions))
	if _, code := bpf.Encode(instructions, p.Program); code != abi.OK {
		p.Code, p.Said = code, code.String()
		return
	}
	p.Digest, p.Slots = bpf.Digest(instructions), len(instructions)
	if p.Object != nil { // people read these too
		text := make([]byte, 64*len(instructions))
		if count, _, code := bpf.Disassemble(instructions, text); code == abi.OK {
			p.Text = string(text[:count])
		}
	}
	analyzed, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: kind, Instructions: instructions}, d.analyze)
	p.Stage, p.Code, p.Longest = abi.StageAnalyze, report.Code, report.LongestPath
	if report.Code != abi.OK {
		p.Said = fmt.Sprintf("%v at instruction %d", report.Code, report.Instruction)
		return
	}
	program, fault := verify.Check(analyzed, d.verify)
	p.Stage, p.Code, p.States = abi.StageVerify, fault.Code, fault.States
	if fault.Code != abi.OK {
		p.Said = fmt.Sprintf("%v at instruction %d", fault.Code, fault.Instruction)
		return
	}
	p.Said = fmt.Sprintf("%d instructions, at most %d per packet, %d states", p.Slots, p.Longest, p.States)
	if program.Digest() != p.Digest {
		p.Code, p.Said = abi.ErrDigestMismatch, "the verifier holds other bytes than were proposed"
	}
}

// read turns text or an object into instructions, and says by which rules they
// ask to be judged.
func (d *desk) read(p *Proposal) (bpf.Type, []bpf.Instruction, error) {
	if p.Object != nil {
		return readObject(p.Object)
	}
	count, place, code := bpf.AssembleWith([]byte(p.Text), d.slots[:], d.labels[:])
	if code != abi.OK {
		return 0, nil, fmt.Errorf("line %d column %d: %v", place.Line, place.Column, code)
	}
	return bpf.TypeHook, d.slots[:count], nil
}
