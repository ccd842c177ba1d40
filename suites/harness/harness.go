// Package harness is what the suites share: a pool of guests, the job they are
// started with, and a way to run a guest to its end and keep all it said. It
// knows the kernel only as a black box, through lab/fleet and lab/guest.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// Seed of every job, printed with each failure; LAB_SEED overrides it.
const seedDefault = 20251

// GuestLimit bounds how long a spec waits for a guest by the wall clock; what
// a guest may take is bounded in CPU time by its own budget.
const GuestLimit = 5 * time.Minute

// RunSuite is the body of each suite's only test function.
func RunSuite(t *testing.T, sentence string) {
	t.Helper()
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, sentence)
}

// Seed returns the seed of this run.
func Seed() uint64 {
	var seed uint64 = seedDefault
	if text := os.Getenv("LAB_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			ginkgo.Fail("LAB_SEED is not a number: " + text)
		}
	}
	ginkgo.AddReportEntry("seed", seed, ginkgo.ReportEntryVisibilityFailureOrVerbose)
	return seed
}

// Pool opens a pool in a state directory of its own, so that a standing fleet
// is neither seen nor touched. Without a kernel it skips, loudly; where the
// kernel must be there (LAB_REQUIRE_GUESTS=1, set by `make test`) it fails.
func Pool(limit int) *qemu.Pool {
	ginkgo.GinkgoHelper()
	state, err := os.MkdirTemp("", "suite") // short: socket paths end at 108 bytes
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(os.RemoveAll, state)
	pool, err := qemu.Open(state, limit)
	if err == nil {
		if missing := pool.Artefacts().Missing(fleet.TargetOurs); len(missing) > 0 {
			err = fmt.Errorf("%v is not built: run make kernel", missing)
		}
	}
	if err != nil {
		if os.Getenv("LAB_REQUIRE_GUESTS") != "" {
			ginkgo.Fail(err.Error())
		}
		ginkgo.Skip("SKIP: " + err.Error())
	}
	ginkgo.DeferCleanup(pool.Close)
	return pool
}

// Context ends with the spec or after GuestLimit.
func Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), GuestLimit)
	ginkgo.DeferCleanup(cancel)
	return ctx
}

// Scenario is the default one of a seed.
func Scenario(seed uint64) capture.Scenario {
	ginkgo.GinkgoHelper()
	scenario, err := capture.DefaultScenario(seed)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return scenario
}

// Job makes a job blob of a scenario; change adjusts it before it is encoded.
func Job(scenario capture.Scenario, kind uint32, change func(*guest.JobSpec)) []byte {
	ginkgo.GinkgoHelper()
	spec := guest.JobSpec{
		Kind: kind, Seed: scenario.Seed, Trace: scenario.Trace,
		Listens: scenario.Listens, Phases: scenario.Phases,
	}
	for _, phase := range scenario.Phases {
		spec.PacketCount += phase.PacketCount
	}
	if change != nil {
		change(&spec)
	}
	blob, err := guest.AppendJob(nil, spec)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return blob
}

// Run is everything a guest said from its first byte to its end.
type Run struct {
	Hello    abi.Hello
	Records  []abi.Record
	Programs map[abi.Digest]string
	Reports  []abi.Report
	Console  string
	Err      error // of the instance: nil when it powered itself off
}

// ToTheEnd starts a guest that ends by itself and collects what it says.
func ToTheEnd(ctx context.Context, pool fleet.Pool, spec fleet.Spec) Run {
	ginkgo.GinkgoHelper()
	instance, err := pool.Start(ctx, spec)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	run := Run{Hello: instance.Hello(), Programs: map[abi.Digest]string{}}
	messages := instance.Messages()
	for {
		message, err := messages.Next(ctx)
		if errors.Is(err, guest.ErrClosed) || err != nil && ctx.Err() == nil {
			break
		}
		gomega.Expect(err).NotTo(gomega.HaveOccurred(), "the guest did not end\n%s", instance.Console())
		run.take(message)
	}
	gomega.Expect(messages.Lost()).To(gomega.BeZero(), "messages were dropped because nobody read")
	<-instance.Done()
	run.Console, run.Err = string(instance.Console()), instance.Err()
	gomega.Expect(run.Err).NotTo(gomega.HaveOccurred())
	return run
}

func (r *Run) take(message guest.Message) {
	r.Records = append(r.Records, guest.Records(message)...)
	if program, ok := guest.ReadProgram(message); ok {
		r.Programs[program.Digest] = program.Text
	}
	if report, ok := guest.ReadReport(message); ok {
		r.Reports = append(r.Reports, report)
	}
}

// Report is the one report of a measured guest.
func (r *Run) Report() abi.Report {
	ginkgo.GinkgoHelper()
	gomega.Expect(r.Reports).To(gomega.HaveLen(1), "console:\n%s", r.Console)
	gomega.Expect(r.Reports[0].Code).To(gomega.Equal(abi.OK), "console:\n%s", r.Console)
	return r.Reports[0]
}

// Equal says whether two runs said the same, to the byte.
func (r *Run) Equal(other Run) bool {
	a, b := fmt.Sprintf("%v", *r), fmt.Sprintf("%v", other)
	return a == b
}

// Transcript prints the records of a run, one line each, for failures.
func (r *Run) Transcript() string {
	var out bytes.Buffer
	for _, record := range r.Records {
		fmt.Fprintf(&out, "%4d %12d ns cpu%d %v %v %v slot %d insn %d %x %v\n", record.Sequence, record.TimeNS, record.CPU,
			record.Stage, record.Verdict, record.Code, record.SlotVersion, record.Instruction, record.Candidate[:4], record.Values)
	}
	return out.String()
}

// Select returns the records that agree with a filter.
func (r *Run) Select(filter func(abi.Record) bool) (selected []abi.Record) {
	for _, record := range r.Records {
		if filter(record) {
			selected = append(selected, record)
		}
	}
	return selected
}
