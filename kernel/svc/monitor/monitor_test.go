package monitor_test

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
	"github.com/kingly-os/go-kernel/kernel/svc/monitor"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// hook is a backend with counters and nothing behind them.
type hook struct {
	rt.Backend
	stats [abi.CPUMax]abi.NetRXStats
}

func (h *hook) Instructions() uint64                               { return 0 }
func (h *hook) Publish(abi.HookID, int, uint32, uint32)            {}
func (h *hook) LoadCode(abi.HookID, int, []byte) bool              { return true }
func (h *hook) Quiescent(abi.HookID, int) bool                     { return true }
func (h *hook) HookStats(_ abi.HookID, cpu int, s *abi.NetRXStats) { *s = h.stats[cpu] }

// The default path of these tests: 1000 for what is delivered, 3000 for junk.
const deliveredInsn, junkInsn = 1000, 3000

// watch gives a monitor that watches version 1 on CPU 2 (a canary), with a
// model calibrated on a window of the default path.
func watch(t *testing.T) (*hook, *monitor.Monitor, *dryrun.Model) {
	h := new(hook)
	for cpu := range h.stats {
		h.stats[cpu].Errors, h.stats[cpu].AuditedWanted = 5, 5 // of earlier versions
	}
	previous := rt.SetBackend(h)
	t.Cleanup(func() { rt.SetBackend(previous) })

	var judge dryrun.Judge
	model := new(dryrun.Model)
	model.Reset()
	window := new(telemetry.Window)
	for i := 0; i < telemetry.WindowEvents; i++ {
		event := abi.NetRXEvent{PacketBytes: 64, Action: abi.NetRXPass, Outcome: abi.OutcomeDelivered, CostInsn: deliveredInsn}
		if i%2 == 0 {
			event.Outcome, event.CostInsn = abi.OutcomeNoConsumer, junkInsn
		}
		window.Add(&event)
	}
	judge.Begin(window, model, nil, 0)
	if report, done := judge.Prepare(telemetry.WindowEvents); !done || report.Code != abi.OK {
		t.Fatal(report.Code)
	}

	out := make([]bpf.Instruction, 2)
	bpf.Assemble([]byte("r0 = 2\nexit"), out)
	analyzed, _ := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: out}, new(analyze.Workspace))
	program, _ := verify.Check(analyzed, new(verify.Workspace))
	chosen, _ := judge.Waive(program)
	table := new(deploy.Table)
	table.Boot(abi.HookNetRX, 4)
	deployed, code := table.Begin(chosen, jit.Code{}, 2)
	if code != abi.OK {
		t.Fatal(code)
	}
	m := new(monitor.Monitor)
	m.Begin(deployed)
	return h, m, model
}

func TestBudgets(t *testing.T) {
	delivered := abi.NetRXEvent{SlotVersion: 1, PacketBytes: 64, Action: abi.NetRXPass, Outcome: abi.OutcomeDelivered, Flags: abi.EventProgramRan, CostInsn: deliveredInsn + 20}
	dropped := abi.NetRXEvent{SlotVersion: 1, PacketBytes: 64, Action: abi.NetRXDrop, Flags: abi.EventProgramRan, CostInsn: 400}
	for _, c := range []struct {
		name   string
		events int
		make   func(i int) abi.NetRXEvent
		code   abi.Code
	}{
		{"cheap and harmless", 4096, func(i int) abi.NetRXEvent {
			if i%3 == 0 {
				return dropped
			}
			return delivered
		}, abi.OK},
		{"audited junk is no loss", 100, func(i int) abi.NetRXEvent {
			e := dropped
			e.Flags |= abi.EventAudited
			e.Outcome = abi.OutcomeNoConsumer
			return e
		}, abi.OK},
		{"one audited packet was wanted", 1, func(i int) abi.NetRXEvent {
			e := dropped
			e.Flags |= abi.EventAudited
			e.Outcome = abi.OutcomeDelivered
			return e
		}, abi.ErrLossBudget},
		{"one error", 1, func(i int) abi.NetRXEvent {
			e := delivered
			e.Flags = abi.EventError
			return e
		}, abi.ErrErrorBudget},
		{"costs more than the default, once", 512, func(i int) abi.NetRXEvent {
			e := delivered
			e.CostInsn = 2 * deliveredInsn
			return e
		}, abi.OK},
		{"costs more than the default, again", 1024, func(i int) abi.NetRXEvent {
			e := delivered
			e.CostInsn = 2 * deliveredInsn
			return e
		}, abi.ErrLatencyBudget},
		{"another version is not ours", 4096, func(i int) abi.NetRXEvent {
			e := delivered
			e.SlotVersion, e.CostInsn, e.Flags = 2, 1<<20, abi.EventError
			return e
		}, abi.OK},
	} {
		_, m, model := watch(t)
		for i := 0; i < c.events; i++ {
			event := c.make(i)
			m.Observe(&event, model)
		}
		if code := m.Judge(abi.HookNetRX); code != c.code {
			t.Errorf("%s: %v, want %v", c.name, code, c.code)
		}
	}
}

// What the ring lost, the hook's counters still show; other CPUs' do not count.
func TestCountersCoverLostEvents(t *testing.T) {
	h, m, _ := watch(t)
	h.stats[0].AuditedWanted++
	if code := m.Judge(abi.HookNetRX); code != abi.OK {
		t.Errorf("another CPU: %v", code)
	}
	h.stats[2].AuditedWanted++
	if code := m.Judge(abi.HookNetRX); code != abi.ErrLossBudget {
		t.Errorf("loss: %v", code)
	}
	var values [8]uint64
	m.Describe(abi.HookNetRX, &values)
	if values[3] != 1 {
		t.Errorf("described as %v", values)
	}
	h.stats[2].AuditedWanted--
	h.stats[2].Errors++
	if code := m.Judge(abi.HookNetRX); code != abi.ErrErrorBudget {
		t.Errorf("error: %v", code)
	}
	m.Stop()
	if code := m.Judge(abi.HookNetRX); code != abi.OK {
		t.Errorf("stopped: %v", code)
	}
}

func TestNoAllocations(t *testing.T) {
	_, m, model := watch(t)
	event := abi.NetRXEvent{SlotVersion: 1, Outcome: abi.OutcomeDelivered, CostInsn: 1000}
	var values [8]uint64
	if n := testing.AllocsPerRun(2000, func() {
		m.Observe(&event, model)
		m.Judge(abi.HookNetRX)
		m.Describe(abi.HookNetRX, &values)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
