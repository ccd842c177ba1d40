// "Whatever breaks inside, the rest goes on, or the lab knows at once what
// happened and where."
package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/fleet/qemu"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/suites/harness"
)

func TestFaults(t *testing.T) { harness.RunSuite(t, "Faults stay where they are, or are named") }

const cpus = 4

func start(ctx context.Context, pool *qemu.Pool, job []byte) fleet.Instance {
	GinkgoHelper()
	instance, err := pool.Start(ctx, fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Live, CPUs: cpus, Job: job, Seed: harness.Seed()})
	Expect(err).NotTo(HaveOccurred())
	return instance
}

func liveJob() []byte {
	return harness.Job(harness.Scenario(harness.Seed()), abi.JobLive, nil)
}

// expectAlive shows that a guest still answers and still moves packets.
func expectAlive(ctx context.Context, instance fleet.Instance) {
	GinkgoHelper()
	control := instance.Control()
	Expect(control.Ping(ctx, []byte("still there?"))).To(Succeed())
	before, err := control.Stats(ctx)
	Expect(err).NotTo(HaveOccurred())
	const packets = 400
	reply, err := control.Traffic(ctx, abi.TrafficRequest{Seed: harness.Seed(), PacketCount: packets, IntervalNS: 50_000})
	Expect(err).NotTo(HaveOccurred())
	Expect(reply.Code).To(Equal(abi.OK))
	Eventually(func() (uint64, error) {
		after, err := control.Stats(ctx)
		return after.NetRX.Delivered - before.NetRX.Delivered, err
	}, 30*time.Second, 50*time.Millisecond).Should(BeNumerically(">", packets/2))
}

var _ = Describe("a service that panics", func() {
	It("is contained on four CPUs at once, reset, and the kernel goes on", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), liveJob())
		const times = 25
		reply, err := instance.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantServicePanic, CPUMask: 1<<cpus - 1, Count: times})
		Expect(err).NotTo(HaveOccurred())
		Expect(reply.Code).To(Equal(abi.OK))
		Expect(reply.Values[0]).To(BeEquivalentTo(times*cpus), "contained panics")
		Expect(reply.Values[1]).To(BeZero(), "marks left in the services' state: the reset did not work")
		Expect(reply.Values[2]).To(BeEquivalentTo(cpus))
		stats, err := instance.Control().Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.ServicePanics).To(BeNumerically(">=", times*cpus))
		Expect(stats.Resets).To(BeNumerically(">=", times*cpus))

		seen := map[uint8]int{}
		for count := 0; count < times*cpus; {
			message, err := instance.Messages().Next(ctx)
			Expect(err).NotTo(HaveOccurred(), "records of %v so far", seen)
			for _, record := range guest.Records(message) {
				if record.Stage == abi.StageFault {
					Expect(record.Verdict).To(Equal(abi.VerdictReset))
					Expect(record.Code).To(Equal(abi.ErrPanic))
					Expect(record.Values[1]).NotTo(BeZero(), "the faulting address")
					seen[record.CPU]++
					count++
				}
			}
		}
		Expect(seen).To(HaveLen(cpus), "every CPU told of its own")
		expectAlive(ctx, instance)
	})
})

// dying plants something fatal and returns how the lab saw it.
func dying(pool *qemu.Pool, request abi.PlantRequest) (death *fleet.DeathError, took time.Duration) {
	GinkgoHelper()
	ctx := harness.Context()
	instance := start(ctx, pool, liveJob())
	began := time.Now()
	reply, err := instance.Control().Plant(ctx, request)
	Expect(err).NotTo(HaveOccurred())
	Expect(reply.Code).To(Equal(abi.OK))
	Eventually(instance.Done(), 4*time.Minute).Should(BeClosed())
	took = time.Since(began)
	Expect(errors.As(instance.Err(), &death)).To(BeTrue(), "%v", instance.Err())

	By("freeing the slot: the pool has only one")
	again := start(ctx, pool, liveJob())
	Expect(again.Stop()).To(Succeed())
	return death, took
}

var _ = Describe("a kernel that dies", func() {
	DescribeTable("says why and where, and is recognised at once", func(request abi.PlantRequest, words ...string) {
		death, took := dying(harness.Pool(1), request)
		AddReportEntry("recognised after", took)
		Expect(took).To(BeNumerically("<", 20*time.Second), "a panic is a message, not a time-out")
		console := string(death.Console)
		Expect(console).To(ContainSubstring("panic: "))
		Expect(console).To(ContainSubstring("panic: end"))
		for _, word := range words {
			Expect(console).To(ContainSubstring(word))
		}
	},
		Entry("after a store nobody allowed", abi.PlantRequest{Kind: abi.PlantKernelPanic, CPUMask: 1}, "kernel_panic_thread", "x0", "esr"),
		Entry("after the same on another CPU", abi.PlantRequest{Kind: abi.PlantKernelPanic, CPUMask: 4}, "kernel_panic_thread"),
		Entry("after running out of stack", abi.PlantRequest{Kind: abi.PlantStackOverflow, CPUMask: 1}, "stack"),
	)

	It("is given up with its registers when it hangs", func() {
		death, took := dying(harness.Pool(1), abi.PlantRequest{Kind: abi.PlantHang, CPUMask: 1<<cpus - 1})
		AddReportEntry("given up after", took)
		Expect(death.Cause.Error()).To(ContainSubstring("hangs"))
		Expect(death.Registers).To(ContainSubstring("PC="), "registers of the CPUs")
	})
})

var _ = Describe("hostile control messages", Ordered, func() {
	var instance fleet.Instance
	var ctx context.Context

	BeforeAll(func() {
		ctx = harness.Context()
		instance = start(ctx, harness.Pool(1), liveJob())
	})

	// refused sends one request and returns the guest's refusal.
	refused := func(kind uint16, payload []byte) *guest.RefusedError {
		GinkgoHelper()
		_, err := instance.Control().Call(ctx, kind, abi.MessageInstallReply, payload)
		var refusal *guest.RefusedError
		Expect(errors.As(err, &refusal)).To(BeTrue(), "%v", err)
		return refusal
	}

	It("are refused with a reason and a place", func() {
		Expect(refused(abi.MessagePlant, []byte{1, 2, 3}).Code).To(Equal(abi.ErrBadLength))
		Expect(refused(abi.MessageTraffic, nil).Code).To(Equal(abi.ErrBadLength))
		Expect(refused(4242, []byte("who?")).Code).To(BeElementOf(abi.ErrUnsupported, abi.ErrBadValue))
		Expect(refused(abi.MessageInstall, make([]byte, 20)).Code).To(BeElementOf(abi.ErrBadLength, abi.ErrTruncated))
		short := make([]byte, abi.InstallRequestBytes)
		(&abi.InstallRequest{Hook: 1, ProgramBytes: 800}).Put(short)
		Expect(refused(abi.MessageInstall, short).Code).To(BeElementOf(abi.ErrBadLength, abi.ErrTruncated))
	})

	It("that are no frames are skipped", func() {
		random := rand.New(rand.NewPCG(harness.Seed(), 9))
		for range 64 {
			noise := make([]byte, 1+random.IntN(4000))
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			Expect(instance.Control().WriteRaw(noise)).To(Succeed())
		}
		frame := make([]byte, abi.FrameHeaderBytes+64)
		size := abi.PutFrame(frame, abi.MessagePing, 1, []byte("hello"))
		for cut := 1; cut < size; cut++ { // every truncation, each followed by more
			Expect(instance.Control().WriteRaw(frame[:cut])).To(Succeed())
		}
		for at := range size { // every byte spoilt
			frame[at] ^= 0x5a
			Expect(instance.Control().WriteRaw(frame[:size])).To(Succeed())
			frame[at] ^= 0x5a
		}
		// A header that promises the most it may, then the real thing: the guest
		// must find its way back.
		Eventually(func() error {
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return instance.Control().Ping(short, []byte("back?"))
		}, time.Minute).Should(Succeed())
		expectAlive(ctx, instance)
	})
})

var _ = Describe("a job that is not one", func() {
	DescribeTable("is refused with a clear line and a code, and nothing crashes", func(spoil func([]byte) []byte) {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), spoil(liveJob()))
		Eventually(func() string { return string(instance.Console()) }, 20*time.Second, 20*time.Millisecond).Should(ContainSubstring("job: "))
		Expect(string(instance.Console())).NotTo(ContainSubstring("panic: "))
		if reply, err := instance.Control().Traffic(ctx, abi.TrafficRequest{PacketCount: 10}); err == nil {
			By("staying live without the part that was refused")
			Expect(reply.Code).NotTo(Equal(abi.OK), "traffic from a trace that was refused")
			Expect(instance.Control().Ping(ctx, []byte("fine"))).To(Succeed())
			return
		}
		By("or reporting the code and ending by itself")
		Eventually(instance.Done(), time.Minute).Should(BeClosed())
		Expect(instance.Err()).NotTo(HaveOccurred(), string(instance.Console()))
		var reports []abi.Report
		for {
			message, err := instance.Messages().Next(ctx)
			if err != nil {
				break
			}
			if one, ok := guest.ReadReport(message); ok {
				reports = append(reports, one)
			}
		}
		Expect(reports).To(HaveLen(1))
		Expect(reports[0].Code).NotTo(BeElementOf(abi.OK, abi.ErrPanic, abi.ErrFault))
		Expect(reports[0].Offered).To(BeZero())
	},
		Entry("cut in its header", func(job []byte) []byte { return job[:100] }),
		Entry("cut in its trace", func(job []byte) []byte { return job[:len(job)/2] }),
		Entry("one byte short", func(job []byte) []byte { return job[:len(job)-1] }),
		Entry("with another magic", func(job []byte) []byte { job[0] ^= 1; return job }),
		Entry("with one bit changed", func(job []byte) []byte { job[len(job)/3] ^= 4; return job }),
		Entry("of another version", func(job []byte) []byte { job[8] ^= 0x40; return job }),
		Entry("with a trace that lies about its length", func(job []byte) []byte {
			var header abi.JobHeader
			header.Get(job)
			var trace abi.TraceHeader
			trace.Get(job[header.TraceOffset:])
			trace.PacketCount++
			trace.Put(job[header.TraceOffset:])
			header.Checksum = abi.JobChecksum(job) // right again
			header.Put(job)
			return job
		}),
		Entry("of random bytes", func(job []byte) []byte {
			random := rand.New(rand.NewPCG(harness.Seed(), 3))
			for i := range job {
				job[i] = byte(random.Uint32())
			}
			return job
		}),
	)

	It("is not needed at all", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), nil)
		Expect(instance.Control().Ping(ctx, []byte("bare"))).To(Succeed())
	})
})
