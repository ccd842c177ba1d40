// "When the traffic turns, the kernel takes its program back by itself; and
// swapping a program under load loses nothing and handles nothing twice."
package rollback

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/suites/harness"
)

func TestRollback(t *testing.T) {
	harness.RunSuite(t, "Programs are taken back without loss")
}

const (
	cpus       = 4
	intervalNS = 50_000

	// The loss signal audits one dropped packet in 64, so a wanted flow can lose
	// a few dozen packets before the first audit and those in flight on four
	// CPUs until the swap; never a share of the flow.
	lostMax = 600
)

// turning runs all three phases, the last with a length of its own.
func turning(seed uint64, turnedPackets uint32) fleet.Spec {
	scenario := harness.Scenario(seed)
	scenario.Phases[capture.PhaseTurned].PacketCount = turnedPackets
	job := harness.Job(scenario, abi.JobAutonomous, func(spec *guest.JobSpec) {
		spec.Flags, spec.IntervalNS = abi.JobPipelineOn, intervalNS
	})
	return fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Measured, CPUs: cpus, Job: job, Seed: seed}
}

var _ = Describe("traffic that turns", func() {
	It("gets the program taken back, and the wanted flow delivered", func() {
		pool, seed := harness.Pool(2), harness.Seed()
		run := harness.ToTheEnd(harness.Context(), pool, turning(seed, 16384))
		report := run.Report()
		back := run.Select(func(r abi.Record) bool { return r.Verdict == abi.VerdictRolledBack })
		Expect(back).NotTo(BeEmpty(), run.Transcript)
		Expect(back[0].Stage).To(Equal(abi.StageMonitor))
		Expect(back[0].Code).To(Equal(abi.ErrLossBudget), run.Transcript)
		Expect(back[0].Values[3]).To(BeNumerically(">", 0), "audited and wanted")
		before := run.Select(func(r abi.Record) bool {
			return r.Candidate == back[0].Candidate && r.Verdict == abi.VerdictInstalled && r.TimeNS < back[0].TimeNS
		})
		Expect(before).NotTo(BeEmpty(), "what was taken back was never on all CPUs\n%s", run.Transcript())

		lost := report.NeededOffered - report.NeededDelivered
		AddReportEntry("needed packets lost until the rollback", lost)
		Expect(report.NeededChanged).To(BeZero())
		Expect(lost).To(BeNumerically("<", lostMax), run.Transcript)

		By("not losing more however long the turned traffic goes on")
		longer := harness.ToTheEnd(harness.Context(), pool, turning(seed, 49152))
		long := longer.Report()
		Expect(long.NeededOffered).To(BeNumerically(">", report.NeededOffered+8192))
		Expect(long.NeededOffered-long.NeededDelivered).To(BeNumerically("<", lostMax), longer.Transcript)
	})
})

var _ = Describe("swapping under load", func() {
	It("loses no packet and handles none twice, on four CPUs that really run at once", func() {
		ctx, seed := harness.Context(), harness.Seed()
		instance, err := harness.Pool(1).Start(ctx, fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Live, CPUs: cpus, Seed: seed,
			Job: harness.Job(harness.Scenario(seed), abi.JobLive, nil)})
		Expect(err).NotTo(HaveOccurred())
		instance.SetBusy(true)
		control := instance.Control()
		const offered = 400_000
		traffic := abi.TrafficRequest{Seed: seed, PacketCount: offered, IntervalNS: 20_000, Phase: capture.PhaseScan}
		started, err := control.Traffic(ctx, traffic)
		Expect(err).NotTo(HaveOccurred())
		Expect(started.Code).To(Equal(abi.OK))

		honest := harness.DropUDPExcept(capture.PortDNS)
		swaps := 0
		var stats abi.Stats
		for {
			stats, err = control.Stats(ctx)
			Expect(err).NotTo(HaveOccurred())
			if stats.NetRX.Offered >= offered {
				break
			}
			installed, err := control.Install(ctx, abi.HookNetRX, 0, honest, harness.Digest(honest))
			Expect(err).NotTo(HaveOccurred())
			back, err := control.Rollback(ctx, abi.HookNetRX)
			Expect(err).NotTo(HaveOccurred())
			if installed.Code == abi.OK && back.Code == abi.OK {
				swaps++
			}
		}
		Eventually(func() (uint64, error) { // the last packets leave the path
			stats, err = control.Stats(ctx)
			n := stats.NetRX
			return n.Delivered + n.NoConsumer + n.Malformed + n.Dropped, err
		}, 10*time.Second, 50*time.Millisecond).Should(BeNumerically(">=", offered))
		AddReportEntry("swaps under load", swaps)
		Expect(swaps).To(BeNumerically(">=", 3), "too few swaps to mean anything")
		n := stats.NetRX
		Expect(n.Offered).To(BeEquivalentTo(n.Delivered+n.NoConsumer+n.Malformed+n.Dropped), "every packet ended exactly once")
		Expect(n.SwapsDuplicated).To(BeZero())
		Expect(n.AuditedWanted).To(BeZero(), "the honest filter drops nothing a consumer wants")
		Expect(n.Errors).To(BeZero())
	})
})
