// Package monitor is the last stage and never ends: it watches the program
// that runs, on its canary CPU first and on all CPUs as long as it is
// installed, and calls for the previous version as soon as a budget is spent.
//
// Budgets: no program error; no audited packet that a consumer wanted; and
// over each window of watched events the measured cost must not exceed what the
// model says the built-in default would have cost for the same packets.
//
// Invariants: it sees every event at most once, in ring order; events the ring
// lost are covered by deltas of the hook's own counters; it decides, deploy
// acts.
package monitor

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
)

// Budgets.
const (
	CanaryEvents     = 256  // clean events on the canary before all CPUs get it
	KeepEvents       = 1024 // clean events on all CPUs before it counts as kept
	costWindowEvents = 512  // over which cost is compared
	costSlackDivisor = 32   // 1/32 = 3 % above the default's cost is tolerated noise
	programInsnMax   = 8192 // no verified program takes longer (400 steps of 20); the rest is an interrupt
	costStrikes      = 2    // windows over budget in a row before the program goes
	ErrorsMax        = 0
	WantedLostMax    = 0
)

// Monitor watches one version at a time.
type Monitor struct {
	version    uint32
	index      int
	cpuMask    uint32
	watching   bool
	events     uint64
	audited    uint64
	cost       uint64 // of all watched events
	windowSize uint32
	windowCost uint64
	windowBase uint64 // what the default would have cost, from the model
	strikes    uint32
	lastMean   uint64
	lastBudget uint64
	errors     uint64 // from events
	wanted     uint64 // from events
	before     [abi.CPUMax]counters
	stats      abi.NetRXStats // where the hook writes them
}

// counters are the hook's counters when watching began.
type counters struct {
	errors uint64
	wanted uint64
}

// Begin starts to watch a version on the CPUs of the mask, with fresh budgets.
func (m *Monitor) Begin(d deploy.Deployed) {
	*m = Monitor{version: d.Version(), index: d.Index(), cpuMask: d.CPUMask(), watching: true}
	hook := d.Hook
	cpuMask := d.CPUMask()
	stats := &m.stats
	for cpu := 0; cpu < abi.CPUMax; cpu++ {
		if cpuMask>>cpu&1 == 0 {
			continue
		}
		rt.HookStats(hook, cpu, stats)
		m.before[cpu] = counters{errors: stats.Errors, wanted: stats.AuditedWanted}
	}
}

// Stop ends watching.
func (m *Monitor) Stop() { m.watching = false }

// Watching says whether a version is watched, and which.
func (m *Monitor) Watching() (uint32, bool) { return m.version, m.watching }

// Index is the slot index of the watched version.
func (m *Monitor) Index() int { return m.index }

// Events is how many events of the version were seen since Begin.
func (m *Monitor) Events() uint64 { return m.events }

// Observe looks at one event from the rings.
func (m *Monitor) Observe(event *abi.NetRXEvent, model *dryrun.Model) {
	if !m.watching || event.SlotVersion != m.version {
		return
	}
	m.events++
	m.cost += uint64(event.CostInsn)
	if event.Flags&abi.EventError != 0 {
		m.errors++
	}
	if event.Flags&abi.EventAudited != 0 {
		m.audited++
		if event.Outcome == abi.OutcomeDelivered || event.Outcome == abi.OutcomeSteered {
			m.wanted++
		}
	}
	if !model.Measured() {
		return // a program that came with the job, before the first window
	}
	path := model.Path(event.Outcome, event.PacketBytes)
	m.windowSize++
	m.windowCost += min(uint64(event.CostInsn), path+programInsnMax)
	m.windowBase += path
	if m.windowSize == costWindowEvents {
		m.closeWindow()
	}
}

// closeWindow compares cost with budget. One bad window may be an interrupt
// storm; two in a row are the program.
func (m *Monitor) closeWindow() {
	budget := m.windowBase + m.windowBase/costSlackDivisor
	m.lastMean = m.windowCost / costWindowEvents
	m.lastBudget = budget / costWindowEvents
	if m.windowCost > budget {
		m.strikes++
	} else {
		m.strikes = 0
	}
	m.windowSize, m.windowCost, m.windowBase = 0, 0, 0
}

// Judge says whether the version may stay: OK or the budget that is spent.
// The hook's counters are read too, because an overflowing ring forgets events
// and the counters do not; a packet that was under way when watching began is
// charged to the new version, which errs on the safe side.
func (m *Monitor) Judge(hook abi.HookID) abi.Code {
	if !m.watching {
		return abi.OK
	}
	errors, wanted := m.sinceBegin(hook)
	switch {
	case max(m.wanted, wanted) > WantedLostMax:
		return abi.ErrLossBudget
	case max(m.errors, errors) > ErrorsMax:
		return abi.ErrErrorBudget
	case m.strikes >= costStrikes:
		return abi.ErrLatencyBudget
	}
	return abi.OK
}

func (m *Monitor) sinceBegin(hook abi.HookID) (errors, wanted uint64) {
	stats := &m.stats
	for cpu := 0; cpu < abi.CPUMax; cpu++ {
		if m.cpuMask>>cpu&1 == 0 {
			continue
		}
		rt.HookStats(hook, cpu, stats)
		errors += stats.Errors - m.before[cpu].errors
		wanted += stats.AuditedWanted - m.before[cpu].wanted
	}
	return errors, wanted
}

// Describe fills a record's values: events, errors, audited, audited and
// wanted, mean cost, budget.
func (m *Monitor) Describe(hook abi.HookID, values *[8]uint64) {
	errors, wanted := m.sinceBegin(hook)
	mean := m.lastMean
	if mean == 0 && m.events > 0 {
		mean = m.cost / m.events
	}
	*values = [8]uint64{m.events, max(m.errors, errors), m.audited, max(m.wanted, wanted), mean, m.lastBudget}
}
