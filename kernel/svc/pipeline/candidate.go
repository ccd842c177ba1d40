package pipeline

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/propose/rules"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// candidate is the program that is under way, in each of its forms.
type candidate struct {
	number       int // in this round, -1 before the first
	text         [abi.ProgramTextBytesMax]byte
	textBytes    int
	instructions [abi.ProgramInstructionsMax]bpf.Instruction
	count        int
	digest       abi.Digest

	// What the last stage said.
	code        abi.Code
	instruction int32
	values      [8]uint64

	// The first refusal of the round, for the host's reply.
	refusedBy     abi.Stage
	refusedFor    abi.Code
	refusedAt     int32
	refusedValues [8]uint64

	seen      [rules.Candidates]abi.Digest // of this round
	seenCount int
}

func (c *candidate) clear() {
	c.number = -1
	c.textBytes, c.count, c.seenCount = 0, 0, 0
	c.refusedBy, c.refusedFor, c.refusedAt = abi.StageNone, abi.OK, -1
	c.instruction, c.code = -1, abi.OK
	c.digest = abi.Digest{}
	c.refusedValues = [8]uint64{}
	c.values = [8]uint64{}
}

func (c *candidate) slots() []bpf.Instruction { return c.instructions[:c.count] }

// isNew remembers a digest and says whether the round had it before.
func (c *candidate) isNew() bool {
	for i := 0; i < c.seenCount; i++ {
		if c.seen[i] == c.digest {
			return false
		}
	}
	if c.seenCount < len(c.seen) {
		c.seen[c.seenCount] = c.digest
		c.seenCount++
	}
	return true
}

// nextCandidate makes the text of the next candidate that has something to
// say, or takes the host's program; false when there is none left.
func (p *Pipeline) nextCandidate() bool {
	c := &p.candidate
	c.code, c.instruction, c.values = abi.OK, -1, [8]uint64{}
	if p.fromHost {
		c.number++
		return c.number == 0
	}
	for c.number+1 < rules.Candidates {
		c.number++
		c.textBytes = p.proposer.Propose(&p.snapshot, c.number, c.text[:])
		if c.textBytes == 0 {
			continue
		}
		var place bpf.Place
		c.count, place, c.code = bpf.Assemble(c.text[:c.textBytes], c.instructions[:])
		c.instruction = place.Instruction
		if c.code != abi.OK {
			c.values = [8]uint64{uint64(place.Line), uint64(place.Column)}
			return true // assemble reports it
		}
		c.digest = bpf.Digest(c.slots())
		if c.isNew() && !p.isRunning(&c.digest) {
			return true
		}
	}
	return false
}

func (p *Pipeline) isRunning(digest *abi.Digest) bool {
	image, _ := p.table.Running()
	return image != nil && image.Digest() == *digest
}

// assemble finishes the step from text or wire format to instructions; false
// with candidate.code set when there are none to go on with.
func (p *Pipeline) assemble() bool {
	c := &p.candidate
	if p.fromHost {
		p.decodeHost()
	} else if c.code == abi.OK && p.banned.has(&c.digest, p.now) {
		c.code = abi.ErrRolledBack
	}
	return c.code == abi.OK
}

// decodeHost reads the program in the inbox and compares it with the digest
// the host named.
func (p *Pipeline) decodeHost() {
	c := &p.candidate
	c.textBytes = 0
	c.count, c.instruction, c.code = decode(p.inbox.program[:p.inbox.programBytes], c.instructions[:])
	if c.code != abi.OK {
		return
	}
	c.digest = bpf.Digest(c.slots())
	if c.digest != p.inbox.request.Expected {
		c.code = abi.ErrDigestMismatch
	}
}

func decode(wire []byte, out []bpf.Instruction) (int, int32, abi.Code) {
	count, place, code := bpf.Decode(wire, out)
	return count, place.Instruction, code
}

func (p *Pipeline) analyzeCandidate() bool {
	c := &p.candidate
	var report analyze.Report
	p.analyzed, report = analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: c.slots()}, &p.analysis)
	c.code, c.instruction = report.Code, report.Instruction
	c.values = [8]uint64{uint64(c.count), uint64(report.LongestPath), uint64(report.StackBytes), uint64(report.Blocks)}
	return c.code == abi.OK
}

func (p *Pipeline) verifyCandidate() bool {
	c := &p.candidate
	var fault verify.Fault
	p.verified, fault = verify.Check(p.analyzed, &p.proof)
	c.code, c.instruction = fault.Code, fault.Instruction
	c.values = [8]uint64{uint64(fault.States), uint64(fault.Processed), uint64(int64(fault.Register)), fault.Wanted, fault.Found}
	return c.code == abi.OK
}

// remember keeps the round's first refusal.
func (p *Pipeline) remember(stage abi.Stage, code abi.Code) {
	c := &p.candidate
	if c.refusedBy == abi.StageNone {
		c.refusedBy, c.refusedFor, c.refusedAt, c.refusedValues = stage, code, c.instruction, c.values
	}
}

// banned remembers programs that were rolled back, so that the same idea is
// not tried again at once.
type banned struct {
	digests [8]abi.Digest
	until   [8]uint64
	next    int
}

func (b *banned) add(digest abi.Digest, until uint64) {
	b.digests[b.next], b.until[b.next] = digest, until
	b.next = (b.next + 1) % len(b.digests)
}

func (b *banned) has(digest *abi.Digest, now uint64) bool {
	for i := range b.digests {
		if now < b.until[i] && b.digests[i] == *digest {
			return true
		}
	}
	return false
}
