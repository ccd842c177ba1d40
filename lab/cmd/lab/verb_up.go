package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/lab/ledger"
	"github.com/kingly-os/go-kernel/lab/stats"
	"github.com/kingly-os/go-kernel/lab/store"
	"github.com/kingly-os/go-kernel/lab/web"
	"github.com/kingly-os/go-kernel/optimizer/loop"
)

// upVerb boots the fleet, runs a campaign and serves the page.
type upVerb struct {
	Detach     bool   `short:"d" help:"Go on in the background once the campaign is decided; lab down ends it."`
	Once       bool   `help:"Exit when the campaign is decided."`
	Targets    string `default:"go-kernel=3,linux=1" help:"The standing fleet."`
	Listen     string `default:"127.0.0.1:7180" help:"Address of the page; another port is taken when this one is not free."`
	Candidates int    `default:"3" help:"How many mutants are measured on the fleet."`
	Packets    uint32 `default:"6144" help:"Packets per measured guest."`
	bookFlags
}

func (upVerb) Help() string {
	return `Boots the standing fleet, searches a better program for the packet hook, measures
each candidate in fresh guests, promotes one or none, hands the winner to the
running kernels and shows it all on a page.

Example:

  lab up
  lab up --once --json --seed 7
  lab up -d --targets go-kernel=2,linux=0`
}

// measuredAtOnce bounds measured guests: they count instructions, so sharing a
// core changes no figure, but more than two would starve two cores.
const measuredAtOnce = 2

// measuredCPUs is how many CPUs a guest of an experiment has.
const measuredCPUs = 1

// standingCPUs is how many CPUs each standing guest of ours has.
const standingCPUs = 4

// up is one run of the verb.
type up struct {
	*env
	verb      upVerb
	targets   map[string]int
	ledger    loop.Recorder
	evidence  *store.Store
	samplesOf store.Fingerprint // what measured samples belong to
	path      string            // of the ledger
	pool      *qemu.Pool
	fleet     *fleet.Fleet
	crew      *loop.Crew
	guests    *experiment.Guests
	page      *web.Page
	address   string
	server    *http.Server
	started   time.Time
	mutex     sync.Mutex
	booted    map[string]abi.Hello // measured boots by target and CPUs
	behind    sync.WaitGroup       // what goes on beside the campaign
	outcome   *loop.Outcome
	autonomy  *autonomy
}

// upRow is a guest of the document: what it takes to be ready is measured in a
// guest of its own, since a live one runs on the host's clock.
type upRow struct {
	Name          string      `json:"name"`
	Target        string      `json:"target"`
	State         fleet.State `json:"state"`
	BootInsn      uint64      `json:"boot_insn"`       // one CPU, from reset to ready
	BootInsnTotal uint64      `json:"boot_insn_total"` // as many CPUs as the guest has, summed
	CPUs          uint32      `json:"cpus"`
	BootHostMS    float64     `json:"boot_host_ms"`
}

func (v upVerb) Run(e *env) error {
	if v.Detach && os.Getenv(detachedVariable) == "" {
		return v.detach(e)
	}
	targets, err := parseTargets(v.Targets)
	if err != nil {
		return usage("%w", err)
	}
	u := &up{env: e, verb: v, targets: targets, page: web.NewPage(), started: time.Now(), booted: map[string]abi.Hello{}}
	defer u.close()
	if err := u.run(); err != nil {
		return err
	}
	if err := u.document(u.report()); err != nil {
		return err
	}
	u.announce()
	if !v.Once {
		u.logf("the fleet stands; Ctrl-C or lab down ends it")
		<-e.ctx.Done()
	}
	switch verdict := u.outcome.Decision.Verdict; verdict {
	case stats.Pass, stats.Fail: // decided, one way or the other
		return nil
	case stats.Infra:
		return infra("campaign: %s", u.outcome.Decision.Reason)
	default:
		return inconclusive("campaign: %s", u.outcome.Decision.Reason)
	}
}

// run is everything up to the decision.
func (u *up) run() error {
	if err := u.open(); err != nil {
		return infra("%w", err)
	}
	if err := u.serve(); err != nil {
		return infra("the page: %w", err)
	}
	if err := u.timed(stepBoot, u.bootFleet); err != nil {
		return infra("%w", err)
	}
	if err := u.timed(stepMeasure, u.measureBoots); err != nil {
		return infra("%w", err)
	}
	if err := u.timed(stepAlone, u.letKernelDecide); err != nil {
		return infra("%w", err)
	}
	campaign := u.campaign()
	outcome, err := campaign.Run(u.ctx)
	u.behind.Wait()
	u.outcome = outcome
	u.pageOutcome()
	switch {
	case err != nil && u.ctx.Err() != nil:
		return infra("interrupted; nothing was promoted that is not in the ledger")
	case err != nil:
		return infra("campaign: %w", err)
	}
	return nil
}

// open finds the artefacts and the ledger.
func (u *up) open() (err error) {
	if u.path, err = u.verb.path(); err != nil {
		return err
	}
	key, err := ledger.OpenKey(u.verb.key(u.path))
	if err != nil {
		return err
	}
	u.ledger = ledger.Shared{Path: u.path, Key: key}
	if u.evidence, err = store.Open(u.ctx, store.Path(u.path)); err != nil {
		return err
	}
	standing := 0
	for _, count := range u.targets {
		standing += count
	}
	if u.pool, err = qemu.Open(u.State, standing+measuredAtOnce+1); err != nil { // one for Linux's boot
		return err
	}
	for _, target := range []string{fleet.TargetOurs, fleet.TargetLinux612} {
		if missing := u.pool.Artefacts().Missing(target); len(missing) > 0 && (target == fleet.TargetOurs || u.targets[target] > 0) {
			return fmt.Errorf("%s is missing: %s", strings.Join(missing, ", "), u.pool.Artefacts().BuildCommand(target))
		}
	}
	u.guests = experiment.NewGuests(u.pool, fleet.TargetOurs, measuredCPUs, measuredAtOnce)
	u.samplesOf, err = u.figures()
	return err
}

// serve starts the page.
func (u *up) serve() error {
	listener, err := net.Listen("tcp", u.verb.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(u.verb.Listen)
		listener, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return err
	}
	u.address = "http://" + listener.Addr().String()
	u.server = &http.Server{Handler: u.page.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go u.server.Serve(listener)
	u.logf("page: %s", u.address)
	u.pageBegin()
	return nil
}

// bootFleet starts the standing guests and their traffic.
func (u *up) bootFleet() (string, error) {
	if len(u.targets) == 0 {
		return "no standing guest was asked for", nil
	}
	job, err := u.liveJob()
	if err != nil {
		return "", err
	}
	u.fleet, err = fleet.Up(u.ctx, u.pool, fleet.UpSpec{Targets: u.targets, CPUs: standingCPUs, Job: job, Seed: u.Seed, Started: u.pageGuest})
	if err != nil {
		return "", err
	}
	for _, failed := range u.fleet.Failed() {
		u.logf("%v", failed)
	}
	u.crew = loop.CrewOf(u.fleet, u.Seed)
	go u.listen()
	if err := u.crew.Work(u.ctx, capture.PhaseScan); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d guests ready, %d failed", len(u.fleet.Guests()), len(u.fleet.Failed())), nil
}

// liveJob gives standing guests the whole scenario; they decide nothing alone.
func (u *up) liveJob() ([]byte, error) {
	scenario, err := capture.DefaultScenario(u.Seed)
	if err != nil {
		return nil, err
	}
	return guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive, Seed: u.Seed, Trace: scenario.Trace,
		Listens: scenario.Listens, Phases: scenario.Phases})
}

// campaign is the search, on this fleet.
func (u *up) campaign() *loop.Campaign {
	c := &loop.Campaign{Hook: abi.HookNetRX, Seed: u.Seed, Candidates: u.verb.Candidates, Packets: u.verb.Packets,
		Runner: u.guests, Ledger: u.ledger, Observe: u.progress, Fingerprint: u.fingerprint(), Evidence: u.evidence, Figures: u.samplesOf}
	objects, err := loop.CompileSeeds(u.ctx, filepath.Join(u.pool.Artefacts().Images, "seeds"))
	if err != nil {
		u.logf("seed filters in C are left out: %v", err)
	}
	c.Objects = objects
	if u.crew != nil && len(u.fleet.Ours()) > 0 {
		c.Standing = u.crew
	}
	return c
}

// timed runs one step of the verb's own and says what it did.
func (u *up) timed(name string, work func() (string, error)) error {
	u.pageStep(name, web.StepRunning, "", 0)
	start := time.Now()
	detail, err := work()
	took := time.Since(start)
	if err != nil {
		u.pageStep(name, web.StepFailed, err.Error(), took)
		return fmt.Errorf("%s: %w", strings.ToLower(name), err)
	}
	u.pageStep(name, web.StepDone, detail, took)
	u.logf("%-26s %6.1f s  %s", name, took.Seconds(), detail)
	return nil
}

func (u *up) close() {
	if u.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_ = u.server.Shutdown(ctx)
		cancel()
		_ = u.server.Close()
	}
	if u.fleet != nil {
		_ = u.fleet.Down()
	}
	if u.pool != nil {
		_ = u.pool.Close()
	}
	if u.evidence != nil {
		_ = u.evidence.Close()
	}
}

// parseTargets reads go-kernel=3,linux=1.
func parseTargets(text string) (map[string]int, error) {
	targets := map[string]int{}
	for _, part := range strings.Split(text, ",") {
		name, number, ok := strings.Cut(strings.TrimSpace(part), "=")
		count, err := strconv.Atoi(number)
		if !ok || err != nil || count < 0 || count > 64 {
			return nil, fmt.Errorf("--targets %q: want NAME=COUNT,..., for example go-kernel=3,linux=1", text)
		}
		target, err := fleet.CanonicalTarget(name)
		if err != nil {
			return nil, fmt.Errorf("--targets %q: %w", text, err)
		}
		if _, twice := targets[target]; twice {
			return nil, fmt.Errorf("--targets %q: %s stands there twice", text, target)
		}
		targets[target] = count
	}
	for target, count := range targets {
		if count == 0 {
			delete(targets, target)
		}
	}
	return targets, nil
}
