package dryrun

import "github.com/kingly-os/go-kernel/kernel/abi"

// What a program costs beside the default path, in instructions, until the
// first calibration replaces it. Measured on 2026-11-22 in QEMU under icount,
// compiled programs on one CPU: bpf/net-rx takes 28.3 instructions per packet
// more than the empty program, for some 19 steps more: 1.5 a step, a comparison
// with its branch being two. Asking is 30 (`r0 = 2; exit` costs 32 over no program): the slot's code, the check that this
// CPU has seen it, the call, and the answer's range. A drop in two steps was 375
// in all before there was compiled code, 75 of that in the source and 156 in
// the program's call and steps.
// calibrate.go measures step and drop again as soon as a program has run, so a
// program that the interpreter runs (12 a step) is soon known for what it is.
const (
	initialStepInsnQ8 = 3 << 7
	initialEntryInsn  = 30
	initialDropInsn   = 160
)

// Bounds of what calibration may believe: outside them the samples are noise
// (an interrupt inside the path, too few different values).
const (
	stepInsnQ8Min  = 1 << 7
	stepInsnQ8Max  = 32 << 8
	costInsnMax    = 1 << 18 // one packet; longer is an interruption, not a path
	perByteQ8Max   = 64 << 8
	samplesMin     = 8
	dropSamplesMin = 32
)

// AuditInterval is the hook's: one of so many dropped packets is delivered all
// the same (core/hook/hook.h, HOOK_AUDIT_INTERVAL).
const AuditInterval = 64

// Line is the cost of the default path for one outcome: a constant and a share
// per byte (checksum, copy and digest grow with the packet).
type Line struct {
	ConstantInsn int64
	PerByteQ8    int64
	Known        bool
}

// Model predicts what a packet costs. It is fitted to every window and kept
// between windows, because under a program that drops all junk no event shows
// what junk would cost.
type Model struct {
	paths      [abi.OutcomeCount]Line
	StepInsnQ8 uint64 // one step of the program, in 1/256 instruction
	EntryInsn  uint64 // calling a program at all
	DropInsn   uint64 // the rest of a dropped packet's way
}

// Reset forgets everything measured.
func (m *Model) Reset() {
	*m = Model{StepInsnQ8: initialStepInsnQ8, EntryInsn: initialEntryInsn, DropInsn: initialDropInsn}
}

// Path is the cost of a packet that the default path ends with outcome. An
// outcome nobody has dropped or seen costs what the cheapest known one does:
// the gain of avoiding it is understated, never invented.
func (m *Model) Path(outcome abi.Outcome, bytes uint16) uint64 {
	if outcome == abi.OutcomeUnknown || outcome >= abi.OutcomeCount {
		outcome = abi.OutcomeNoConsumer // what was dropped and not audited was taken for junk
	}
	line := &m.paths[outcome]
	if line.Known {
		return line.at(bytes)
	}
	least, found := uint64(0), false
	for i := range m.paths {
		if !m.paths[i].Known {
			continue
		}
		if cost := m.paths[i].at(bytes); !found || cost < least {
			least, found = cost, true
		}
	}
	return least
}

// Measured says whether any path was measured yet; before that, Path knows
// nothing and nobody may be judged by it.
func (m *Model) Measured() bool {
	for i := range m.paths {
		if m.paths[i].Known {
			return true
		}
	}
	return false
}

// Program is the cost of asking a program that takes so many steps.
func (m *Model) Program(steps uint32) uint64 {
	return m.EntryInsn + uint64(steps)*m.StepInsnQ8>>8
}

// Dropped is the expected cost of a dropped packet, without the program:
// one of AuditInterval goes the whole way.
func (m *Model) Dropped(outcome abi.Outcome, bytes uint16) uint64 {
	return m.DropInsn + m.Path(outcome, bytes)/AuditInterval
}

func (l *Line) at(bytes uint16) uint64 {
	cost := l.ConstantInsn + l.PerByteQ8*int64(bytes)>>8
	if cost < 0 {
		return 0
	}
	return uint64(cost)
}

// fit is a least-squares line through (x, cost) in integers. x is at most
// abi.PacketBytesMax or the step bound (2^11), cost 2^18, samples 2^10: every
// product below stays under 2^51.
type fit struct {
	n, sumX, sumY, sumXX, sumXY int64
}

func (f *fit) add(x, y int64) {
	if y > costInsnMax {
		y = costInsnMax
	}
	f.n++
	f.sumX += x
	f.sumY += y
	f.sumXX += x * x
	f.sumXY += x * y
}

// slopeQ8 returns the slope in 1/256 and whether x varied enough to tell one.
func (f *fit) slopeQ8() (int64, bool) {
	spread := f.n*f.sumXX - f.sumX*f.sumX
	// A variance below one unit means that all x are about equal.
	if f.n == 0 || spread < f.n*f.n {
		return 0, false
	}
	return (f.n*f.sumXY - f.sumX*f.sumY) * 256 / spread, true
}

// line turns the samples into a Line; a slope that cannot be is left out.
func (f *fit) line() Line {
	slope, told := f.slopeQ8()
	if !told || slope < 0 || slope > perByteQ8Max {
		slope = 0
	}
	return Line{ConstantInsn: (f.sumY - slope*f.sumX>>8) / f.n, PerByteQ8: slope, Known: true}
}
