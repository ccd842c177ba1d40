package bench

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/lab/stats"
)

// NetRXSource is the program of bpf/net-rx; the caller assembles it.
//
//go:embed programs/net_rx.s
var NetRXSource string

// Names of the benchmarks, in the order of the rows.
const (
	BootReady = "boot/ready"
	NetRX     = "bpf/net-rx"
)

// Names lists what can be asked for.
var Names = []string{BootReady, NetRX}

// Runner runs one measured job in a fresh guest of a target; see fleet.RunJob.
type Runner func(ctx context.Context, target, name string, job []byte) (fleet.JobResult, error)

// Options of a run.
type Options struct {
	Names    []string // of Names; empty = all
	Targets  []string
	Baseline string // the target that others are held against
	Program  []byte // NetRXSource in wire format
	Seed     uint64 // chooses the packets
	Run      Runner
	Said     func(format string, a ...any) // progress; may be nil
}

// Row is one benchmark on one target.
type Row struct {
	Bench       string              `json:"bench"`
	Target      string              `json:"target"`
	InsnPerOp   float64             `json:"insn_per_op"`
	Total       uint64              `json:"insn"`
	Operations  uint64              `json:"operations"`
	Baseline    float64             `json:"baseline"`
	Ratio       float64             `json:"ratio"`
	Budget      stats.Budget        `json:"budget"`
	Verdict     stats.BudgetVerdict `json:"verdict"`
	CacheMisses *uint64             `json:"cache_misses"` // null: not measured by this lab yet
	Problem     string              `json:"problem,omitempty"`
}

// Means are geometric means of the ratios of a group; null without rows.
type Means struct {
	Micro *float64 `json:"micro"`
	Macro *float64 `json:"macro"`
}

// Result is a whole run.
type Result struct {
	Rows        []Row             `json:"rows"`
	Geomean     Means             `json:"geomean"`
	Repeat      stats.Repeat      `json:"repeat"`
	Fingerprint map[string]string `json:"fingerprint"`
	Seed        uint64            `json:"seed"`
}

const (
	repeats       = 2
	packetsChosen = 256
	passes        = 8 // over the packets, in each guest
)

// Select turns names from a command line into Names; a group stands for all of
// its members.
func Select(asked string) ([]string, error) {
	if asked == "" {
		return Names, nil
	}
	var chosen []string
	for _, name := range Names {
		if name == asked || strings.HasPrefix(name, strings.TrimSuffix(asked, "/")+"/") {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no benchmark is named %q: there are %s", asked, strings.Join(Names, ", "))
	}
	return chosen, nil
}

// Execute runs every benchmark on every target.
func Execute(ctx context.Context, o Options) (*Result, error) {
	job, err := Job(o.Program, o.Seed)
	if err != nil {
		return nil, err
	}
	results := make([][repeats]measured, len(o.Targets))
	var wait sync.WaitGroup
	for i, target := range o.Targets {
		for repeat := range repeats {
			wait.Go(func() {
				name := fmt.Sprintf("bench-%s-%d", target, repeat+1)
				results[i][repeat] = take(o.Run(ctx, target, name, job))
				if o.Said != nil {
					o.Said("%s", results[i][repeat].describe(name))
				}
			})
		}
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return o.tabulate(results), nil
}

// measured is what one guest gave.
type measured struct {
	figures map[string]stats.Rate
	problem string
	host    float64 // seconds
}

func take(result fleet.JobResult, err error) measured {
	m := measured{figures: map[string]stats.Rate{}, host: result.Wall.Seconds()}
	r := result.Report
	switch {
	case err != nil:
		m.problem = err.Error()
		return m
	case r.Code != abi.OK:
		m.problem = fmt.Sprintf("the guest reports %v", r.Code)
		return m
	}
	if boot := result.Hello.BootInsnCPU0; boot > 0 {
		m.figures[BootReady] = stats.Rate{Total: boot, Count: 1}
	} else {
		m.problem = "the guest does not know what its boot cost"
	}
	net, err := stats.Subtract(stats.Rate{Total: r.InsnTotal, Count: r.Offered}, stats.Rate{Total: r.InsnEmpty, Count: r.Offered})
	if err != nil {
		m.problem = err.Error()
		return m
	}
	m.figures[NetRX] = net
	return m
}

func (m measured) describe(name string) string {
	if m.problem != "" {
		line, _, _ := strings.Cut(m.problem, "\n")
		return fmt.Sprintf("%s: %s", name, line)
	}
	return fmt.Sprintf("%s: %.1f s", name, m.host)
}

// tabulate makes the rows, compares the repeats and judges the budget.
func (o Options) tabulate(results [][repeats]measured) *Result {
	result := &Result{Rows: []Row{}, Seed: o.Seed, Repeat: stats.Repeat{Equal: true, Differing: []string{}}}
	names := o.Names
	if len(names) == 0 {
		names = Names
	}
	for _, name := range names {
		var baseline stats.Rate
		for i, target := range o.Targets {
			if target == o.Baseline {
				baseline = results[i][0].figures[name]
			}
		}
		for i, target := range o.Targets {
			result.Rows = append(result.Rows, row(name, target, results[i], baseline, &result.Repeat))
		}
	}
	return result
}

func row(name, target string, runs [repeats]measured, baseline stats.Rate, repeat *stats.Repeat) Row {
	r := Row{Bench: name, Target: target, Budget: stats.OverheadBudget, Verdict: stats.Undecided}
	for _, run := range runs {
		if _, ok := run.figures[name]; !ok {
			r.Problem = run.problem
			if r.Problem == "" {
				r.Problem = "not measured"
			}
			return r
		}
	}
	figure := runs[0].figures[name]
	repeat.Add(name+" on "+target, figure, runs[1].figures[name])
	r.Total, r.Operations, r.InsnPerOp = figure.Total, figure.Count, figure.PerOperation()
	if baseline.Count > 0 {
		r.Baseline = baseline.PerOperation()
	}
	if figure == runs[1].figures[name] {
		r.Verdict, r.Ratio = stats.OverheadBudget.Judge(figure, baseline)
	}
	return r
}

// Job is the one job of all targets: packets of the committed capture chosen by
// the seed, and the program.
func Job(program []byte, seed uint64) ([]byte, error) {
	trace, err := capture.Committed()
	if err != nil {
		return nil, err
	}
	return guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobBench, Seed: seed, Program: program,
		Trace: choose(trace, seed).Encode(), Repeat: passes})
}

// choose draws packets with replacement; each becomes a flow of its own.
func choose(trace *capture.Trace, seed uint64) *capture.Trace {
	chosen := &capture.Trace{Flows: packetsChosen}
	state := seed
	for i := range packetsChosen {
		state += 0x9e3779b97f4a7c15 // splitmix64
		z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		packet := trace.Packets[(z^z>>31)%uint64(len(trace.Packets))]
		packet.Flow = uint32(i)
		chosen.Packets = append(chosen.Packets, packet)
	}
	return chosen
}
