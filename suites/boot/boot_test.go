// "The kernel is ready within a million instructions, says so, and then keeps
// quiet until there is work."
package boot

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/suites/harness"
)

func TestBoot(t *testing.T) { harness.RunSuite(t, "The kernel boots fast, alike each time, and idles") }

const (
	readyInsnMax = 1_000_000 // from reset, on the boot CPU
	packets      = 512

	// A spinning thread of low priority may hold up net.rx by the way into the
	// timer interrupt and one switch, not by a time slice (which is milliseconds,
	// so millions of instructions).
	spinDelayInsnMax = 20_000
)

// measured is a short run on the instruction count.
func measured(cpus int, seed uint64) fleet.Spec {
	scenario := harness.Scenario(seed)
	scenario.Phases = scenario.Phases[:1]
	scenario.Phases[0].PacketCount = packets
	job := harness.Job(scenario, abi.JobMeasure, func(spec *guest.JobSpec) { spec.Flags = abi.JobDefaultPolicy })
	return fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Measured, CPUs: cpus, Job: job, Seed: seed}
}

// live is a guest that waits for commands, with traffic at hand.
func live(mode fleet.Mode, cpus int, seed uint64) fleet.Spec {
	return fleet.Spec{Target: fleet.TargetOurs, Mode: mode, CPUs: cpus, Seed: seed,
		Job: harness.Job(harness.Scenario(seed), abi.JobLive, nil)}
}

var _ = Describe("booting", func() {
	It("is ready under a million instructions on one CPU", func() {
		run := harness.ToTheEnd(harness.Context(), harness.Pool(1), measured(1, harness.Seed()))
		Expect(run.Hello.BootInsnCPU0).To(And(BeNumerically(">", 0), BeNumerically("<", readyInsnMax)))
		AddReportEntry("instructions to ready", run.Hello.BootInsnCPU0)
		report := run.Report()
		Expect(report.Offered).To(BeEquivalentTo(packets))
		Expect(report.NeededDelivered).To(Equal(report.NeededOffered))
	})

	It("has all four CPUs, W^X and its first packet behind it when it says so", func() {
		run := harness.ToTheEnd(harness.Context(), harness.Pool(1), measured(4, harness.Seed()))
		Expect(run.Hello.CPUs).To(BeEquivalentTo(4))
		Expect(run.Hello.Flags&abi.HelloAllCPUs).NotTo(BeZero(), "all CPUs online")
		Expect(run.Hello.Flags&abi.HelloWXorX).NotTo(BeZero(), "no page writable and executable")
		Expect(run.Hello.Flags&abi.HelloFirstEvent).NotTo(BeZero(), "first packet judged")
		Expect(run.Hello.BootInsnTotal).To(BeNumerically(">=", run.Hello.BootInsnCPU0))
		Expect(run.Hello.KernelDigest).NotTo(Equal(abi.Digest{}))
		Expect(run.Console).To(ContainSubstring("ready: insn="))
		AddReportEntry("instructions to ready", []uint64{run.Hello.BootInsnCPU0, run.Hello.BootInsnTotal})
	})

	DescribeTable("says the same twice, to the instruction", func(cpus int) {
		pool, seed := harness.Pool(1), harness.Seed()
		first := harness.ToTheEnd(harness.Context(), pool, measured(cpus, seed))
		again := harness.ToTheEnd(harness.Context(), pool, measured(cpus, seed))
		Expect(again.Hello).To(Equal(first.Hello))
		Expect(again.Reports).To(Equal(first.Reports))
		Expect(again.Equal(first)).To(BeTrue(), "the transcripts differ:\n%s\n---\n%s", first.Console, again.Console)
		other := harness.ToTheEnd(harness.Context(), pool, measured(cpus, seed+1))
		Expect(other.Reports).NotTo(Equal(first.Reports), "another seed must give other figures")
	}, Entry("on one CPU", 1), Entry("on four CPUs", 4))
})

var _ = Describe("idling", func() {
	It("burns no CPU while nothing happens", func() {
		const span, shareMax = 4 * time.Second, 0.15
		guest, err := harness.Pool(1).Start(harness.Context(), live(fleet.Live, 4, harness.Seed()))
		Expect(err).NotTo(HaveOccurred())
		before, err := guest.Control().Stats(harness.Context())
		Expect(err).NotTo(HaveOccurred())
		start, used := time.Now(), guest.CPUTime()
		Eventually(func() time.Duration { return time.Since(start) }, 2*span, span/4).Should(BeNumerically(">=", span))
		share := float64(guest.CPUTime()-used) / float64(time.Since(start))
		AddReportEntry("share of one host CPU while idle", share)
		Expect(share).To(BeNumerically("<", shareMax))
		after, err := guest.Control().Stats(harness.Context())
		Expect(err).NotTo(HaveOccurred())
		Expect(after.IdleNS).To(BeNumerically(">", before.IdleNS))
		Expect(after.TimeNS-before.TimeNS).To(BeNumerically(">=", uint64(span)), "the guest's clock went on")
	})
})

var _ = Describe("priorities", func() {
	It("lets no spinning thread of low priority hold up net.rx", func() {
		// On the instruction count one virtual nanosecond is one instruction.
		ctx := harness.Context()
		instance, err := harness.Pool(1).Start(ctx, live(fleet.Measured, 1, harness.Seed()))
		Expect(err).NotTo(HaveOccurred())
		control := instance.Control()
		planted, err := control.Plant(ctx, abi.PlantRequest{Kind: abi.PlantSpin, CPUMask: 1})
		Expect(err).NotTo(HaveOccurred())
		Expect(planted.Code).To(Equal(abi.OK))
		const offered = 1000
		started, err := control.Traffic(ctx, abi.TrafficRequest{Seed: harness.Seed(), PacketCount: offered, IntervalNS: 50_000})
		Expect(err).NotTo(HaveOccurred())
		Expect(started.Code).To(Equal(abi.OK))
		var stats abi.Stats
		Eventually(func() (uint64, error) {
			var err error
			stats, err = control.Stats(ctx)
			return stats.NetRX.Offered, err
		}, time.Minute, 100*time.Millisecond).Should(BeNumerically(">=", offered), "packets must flow beside the spinning thread")
		AddReportEntry("longest delay of net.rx, instructions", stats.SpinDelayNSMax)
		Expect(stats.SpinDelayNSMax).To(And(BeNumerically(">", 0), BeNumerically("<", spinDelayInsnMax)))
		Expect(instance.Stop()).To(Succeed())
	})
})
