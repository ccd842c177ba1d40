// "Left alone, the kernel sees a scan, writes a program against it, proves it,
// tries it, and keeps it; and nobody can talk it into a bad one."
package pipeline

import (
	"errors"
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

func TestPipeline(t *testing.T) {
	harness.RunSuite(t, "The kernel finds, proves and keeps a program on its own")
}

const (
	cpus       = 4
	intervalNS = 50_000 // between packets of a CPU: the four share one virtual clock with the pipeline
)

// autonomous is a guest with calm traffic, then a scan, and no host to ask.
func autonomous(seed uint64, kind, flags uint32) fleet.Spec {
	scenario := harness.Scenario(seed)
	scenario.Phases = scenario.Phases[:capture.PhaseTurned]
	job := harness.Job(scenario, kind, func(spec *guest.JobSpec) {
		spec.Flags, spec.IntervalNS = flags, intervalNS
	})
	return fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Measured, CPUs: cpus, Job: job, Seed: seed}
}

// passage is what the records must say of one candidate, in this order.
var passage = []struct {
	stage    abi.Stage
	verdicts []abi.Verdict
}{
	{abi.StagePropose, []abi.Verdict{abi.VerdictAccepted}},
	{abi.StageReview, []abi.Verdict{abi.VerdictAccepted}},
	{abi.StageAnalyze, []abi.Verdict{abi.VerdictAccepted}},
	{abi.StageVerify, []abi.Verdict{abi.VerdictAccepted}},
	{abi.StageDryRun, []abi.Verdict{abi.VerdictAccepted}},
	{abi.StageDeploy, []abi.Verdict{abi.VerdictCanary}},
	{abi.StageDeploy, []abi.Verdict{abi.VerdictInstalled}},
	{abi.StageMonitor, []abi.Verdict{abi.VerdictKept}},
}

var _ = Describe("the loop without a host", func() {
	It("goes every step in order, and pays", func() {
		pool, seed := harness.Pool(2), harness.Seed()
		run := harness.ToTheEnd(harness.Context(), pool, autonomous(seed, abi.JobAutonomous, abi.JobPipelineOn))
		report := run.Report()

		By("observing before proposing")
		Expect(run.Records).NotTo(BeEmpty(), run.Console)
		observed := run.Select(func(r abi.Record) bool { return r.Stage == abi.StageTelemetry && r.Verdict == abi.VerdictObserved })
		Expect(observed).NotTo(BeEmpty(), run.Transcript)
		proposed := run.Select(func(r abi.Record) bool { return r.Stage == abi.StagePropose })
		Expect(proposed).NotTo(BeEmpty(), run.Transcript)
		Expect(observed[0].TimeNS).To(BeNumerically("<=", proposed[0].TimeNS))

		By("recording without gaps and in the order of time")
		for index, record := range run.Records {
			if index > 0 {
				Expect(record.TimeNS).To(BeNumerically(">=", run.Records[index-1].TimeNS), run.Transcript)
				Expect(record.Sequence).To(Equal(run.Records[index-1].Sequence+1), run.Transcript)
			}
		}

		By("taking one candidate through every stage")
		kept := run.Select(func(r abi.Record) bool { return r.Stage == abi.StageMonitor && r.Verdict == abi.VerdictKept })
		Expect(kept).NotTo(BeEmpty(), run.Transcript)
		digest := kept[0].Candidate
		Expect(digest).NotTo(Equal(abi.Digest{}))
		own := run.Select(func(r abi.Record) bool { return r.Candidate == digest })
		at := 0
		for _, record := range own {
			if at < len(passage) && record.Stage == passage[at].stage && record.Verdict == passage[at].verdicts[0] {
				at++
			}
		}
		Expect(at).To(Equal(len(passage)), "the candidate's way stops before %v\n%s", passage[min(at, len(passage)-1)], run.Transcript())
		Expect(run.Programs).To(HaveKey(digest), "the text of what was kept was never streamed")
		AddReportEntry("kept program", run.Programs[digest])

		By("one CPU first, then all")
		for _, record := range own {
			if record.Stage == abi.StageDeploy && record.Verdict == abi.VerdictCanary {
				Expect(record.Values[0]&(record.Values[0]-1)).To(BeZero(), "canary mask %#x", record.Values[0])
			}
			if record.Stage == abi.StageDeploy && record.Verdict == abi.VerdictInstalled {
				Expect(record.Values[0]).To(BeEquivalentTo(1<<cpus-1), "installed mask %#x", record.Values[0])
			}
		}

		By("losing nothing needed, and costing less than the default policy")
		Expect(report.NeededOffered).To(BeNumerically(">", 0))
		Expect(report.NeededDelivered).To(Equal(report.NeededOffered), run.Transcript)
		Expect(report.NeededChanged).To(BeZero())
		plain := harness.ToTheEnd(harness.Context(), pool, autonomous(seed, abi.JobMeasure, abi.JobDefaultPolicy))
		usual := plain.Report()
		Expect(usual.Offered).To(Equal(report.Offered))
		AddReportEntry("instructions of the packet path with and without", []uint64{report.InsnTotal, usual.InsnTotal})
		Expect(report.InsnTotal).To(BeNumerically("<", usual.InsnTotal))
	})

	It("decides the same twice, and otherwise with another seed", func() {
		pool, seed := harness.Pool(2), harness.Seed()
		first := harness.ToTheEnd(harness.Context(), pool, autonomous(seed, abi.JobAutonomous, abi.JobPipelineOn))
		again := harness.ToTheEnd(harness.Context(), pool, autonomous(seed, abi.JobAutonomous, abi.JobPipelineOn))
		Expect(again.Records).To(Equal(first.Records))
		Expect(again.Programs).To(Equal(first.Programs))
		Expect(again.Reports).To(Equal(first.Reports))
		other := harness.ToTheEnd(harness.Context(), pool, autonomous(seed+1, abi.JobAutonomous, abi.JobPipelineOn))
		Expect(other.Reports).NotTo(Equal(first.Reports))
	})
})

var _ = Describe("programs sent by a host", Ordered, ContinueOnFailure, func() {
	var instance fleet.Instance

	BeforeAll(func() {
		seed := harness.Seed()
		ctx := harness.Context()
		var err error
		instance, err = harness.Pool(1).Start(ctx, fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Live, CPUs: cpus, Seed: seed,
			Job: harness.Job(harness.Scenario(seed), abi.JobLive, nil)})
		Expect(err).NotTo(HaveOccurred())
		instance.SetBusy(true)
		started, err := instance.Control().Traffic(ctx, abi.TrafficRequest{
			Seed: seed, PacketCount: 4_000_000, IntervalNS: 200_000, Phase: capture.PhaseScan,
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(started.Code).To(Equal(abi.OK))
		Eventually(func() (uint64, error) { // enough for a recorded window
			stats, err := instance.Control().Stats(ctx)
			return stats.NetRX.Offered, err
		}, time.Minute, 50*time.Millisecond).Should(BeNumerically(">", 4096))
	})

	DescribeTable("are refused where they are wrong", func(program []byte, stage abi.Stage, code abi.Code) {
		reply, err := instance.Control().Install(harness.Context(), abi.HookNetRX, 0, program, harness.Digest(program))
		Expect(err).NotTo(HaveOccurred())
		Expect(reply.Code).To(Equal(code), "stage %v", abi.Stage(reply.Stage))
		Expect(abi.Stage(reply.Stage)).To(Equal(stage))
		stats, err := instance.Control().Stats(harness.Context())
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.NetRX.AuditedWanted).To(BeZero(), "a refused program must never have run")
	},
		Entry("drop all", harness.Always(abi.NetRXDrop), abi.StageDryRun, abi.ErrLosesNeeded),
		Entry("drop all but the commonest port", harness.KeepOnlyPort(capture.PortDNS), abi.StageDryRun, abi.ErrLosesNeeded),
		Entry("drop by first byte", harness.DropFirstByte(0x02), abi.StageDryRun, abi.ErrLosesNeeded),
		Entry("pass all, which only costs", harness.Always(abi.NetRXPass), abi.StageDryRun, abi.ErrWorse),
		Entry("a read no check covers", harness.ReadsBeyondThePacket(), abi.StageVerify, abi.ErrPacketBounds),
		Entry("an action the hook does not have", harness.Always(9), abi.StageVerify, abi.ErrReturnValue),
		Entry("a loop", harness.Loops(), abi.StageAnalyze, abi.ErrBackEdge),
		Entry("no exit", harness.Always(abi.NetRXPass)[:8], abi.StageAnalyze, abi.ErrFallsThrough),
		Entry("an unknown opcode", harness.Instruction(0xff, 0, 0, 0, 0), abi.StagePropose, abi.ErrBadOpcode),
	)

	It("are refused when there is nothing in them", func() {
		_, err := instance.Control().Install(harness.Context(), abi.HookNetRX, 0, nil, harness.Digest(nil))
		var refusal *guest.RefusedError
		Expect(errors.As(err, &refusal)).To(BeTrue(), "%v", err)
		Expect(refusal.Code).To(BeElementOf(abi.ErrBadLength, abi.ErrEmpty))
	})

	It("are refused when they are not the ones named", func() {
		reply, err := instance.Control().Install(harness.Context(), abi.HookNetRX, 0,
			harness.Always(abi.NetRXPass), harness.Digest(harness.Always(abi.NetRXDrop)))
		Expect(err).NotTo(HaveOccurred())
		Expect(reply.Code).To(Equal(abi.ErrDigestMismatch))
	})
})
