package faults

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/capture"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
	"github.com/kingly-os/go-kernel/suites/harness"
)

// Services as the kernel numbers them in a fault record's first value.
const (
	serviceNetRX    = 1
	servicePipeline = 2
	serviceControl  = 3
)

// offerScan begins traffic under which the honest filter is worth its cost.
func offerScan(instance fleet.Instance, packets uint32) {
	GinkgoHelper()
	reply, err := instance.Control().Traffic(harness.Context(), abi.TrafficRequest{Seed: harness.Seed(), PacketCount: packets,
		IntervalNS: 40_000, Phase: capture.PhaseScan})
	Expect(err).NotTo(HaveOccurred())
	Expect(reply.Code).To(Equal(abi.OK))
}

// installHonest brings a filter onto all CPUs.
func installHonest(instance fleet.Instance) {
	GinkgoHelper()
	program := harness.DropUDPExcept(capture.PortDNS)
	Eventually(func() (abi.Code, error) {
		reply, err := instance.Control().Install(harness.Context(), abi.HookNetRX, 0, program, harness.Digest(program))
		return reply.Code, err
	}, time.Minute).Should(Equal(abi.OK))
}

// faultRecords reads the stream until it has seen so many of one service. (The
// pipeline tells of its own restart as well; that record names no service.)
func faultRecords(instance fleet.Instance, service, count int) (records []abi.Record) {
	GinkgoHelper()
	ctx := harness.Context()
	for len(records) < count {
		message, err := instance.Messages().Next(ctx)
		Expect(err).NotTo(HaveOccurred(), "fault records so far: %v", records)
		for _, record := range guest.Records(message) {
			if record.Stage == abi.StageFault && record.Values[0] == uint64(service) {
				records = append(records, record)
			}
		}
	}
	return records
}

// expectEveryPacketEnded waits for the source's last packet: each offered one
// ended once, whatever happened to the service that judged it.
func expectEveryPacketEnded(instance fleet.Instance, offered uint64) (n abi.NetRXStats) {
	GinkgoHelper()
	Eventually(func() (uint64, error) {
		stats, err := instance.Control().Stats(harness.Context())
		n = stats.NetRX
		return n.Delivered + n.NoConsumer + n.Malformed + n.Dropped, err
	}, 2*time.Minute, 50*time.Millisecond).Should(BeEquivalentTo(offered))
	Expect(n.Offered).To(BeEquivalentTo(offered), "every packet once")
	Expect(n.SwapsDuplicated).To(BeZero())
	return n
}

const firstPacket = 1 // judged when the guest became ready

var _ = Describe("a panic inside the packet path's service", func() {
	It("on four CPUs costs a default decision each, and no packet", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), liveJob())
		instance.SetBusy(true)
		const offered = 200_000
		offerScan(instance, offered)
		installHonest(instance)
		before, err := instance.Control().Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(before.NetRX.Offered).To(BeNumerically("<", offered), "the traffic ended before the fault could meet it")
		Expect(before.NetRX.Errors).To(BeZero())

		armed, err := instance.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantNetRXPanic, CPUMask: 1<<cpus - 1})
		Expect(err).NotTo(HaveOccurred())
		Expect(armed.Code).To(Equal(abi.OK))
		Expect(armed.Values[0]).To(BeEquivalentTo(cpus))
		// The monitor tolerates no error: with the first it takes the program back,
		// perhaps before the packet of a CPU that the host held up. Those CPUs stay
		// armed, so the program is brought again until each has met it.
		total := uint64(offered + firstPacket)
		Eventually(func() (uint64, error) {
			now, err := instance.Control().Stats(ctx)
			if err != nil || now.NetRX.Errors == cpus {
				return now.NetRX.Errors, err
			}
			if now.NetRX.Offered == total {
				offerScan(instance, offered)
				total += offered
			}
			program := harness.DropUDPExcept(capture.PortDNS)
			_, err = instance.Control().Install(ctx, abi.HookNetRX, 0, program, harness.Digest(program))
			return now.NetRX.Errors, err
		}, time.Minute).Should(BeEquivalentTo(cpus))
		seen := map[uint8]int{}
		for _, record := range faultRecords(instance, serviceNetRX, cpus) {
			Expect(record.Hook).To(BeEquivalentTo(abi.HookNetRX))
			Expect(record.Verdict).To(Equal(abi.VerdictReset))
			Expect(record.Code).To(Equal(abi.ErrPanic))
			seen[record.CPU]++
		}
		Expect(seen).To(HaveLen(cpus), "one on every CPU")

		n := expectEveryPacketEnded(instance, total)
		Expect(n.Errors).To(BeEquivalentTo(cpus), "one event per panic: the reset gave the state back, or it would not end")
		after, err := instance.Control().Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.ServicePanics - before.ServicePanics).To(BeEquivalentTo(cpus))
		Expect(after.Resets - before.Resets).To(BeEquivalentTo(cpus))
		expectAlive(ctx, instance)
	})
})

var _ = Describe("a panic inside the pipeline's service", func() {
	It("restarts the pipeline and disturbs no packet", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), liveJob())
		instance.SetBusy(true)
		const offered, times = 200_000, 5
		offerScan(instance, offered)
		installHonest(instance)
		armed, err := instance.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantPumpPanic, CPUMask: 1, Count: times})
		Expect(err).NotTo(HaveOccurred())
		Expect(armed.Code).To(Equal(abi.OK))
		for _, record := range faultRecords(instance, servicePipeline, times) {
			Expect(record.Verdict).To(Equal(abi.VerdictReset))
			Expect(record.CPU).To(BeZero(), "the pipeline's CPU")
			Expect(record.Code).To(Equal(abi.ErrPanic))
		}
		n := expectEveryPacketEnded(instance, offered+firstPacket)
		Expect(n.Errors).To(BeZero(), "the packet path never noticed")
		stats, err := instance.Control().Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.ServicePanics).To(BeEquivalentTo(times))

		By("taking and judging programs as before")
		offerScan(instance, offered)
		_, err = instance.Control().Rollback(ctx, abi.HookNetRX)
		Expect(err).NotTo(HaveOccurred())
		rounds := stats.PipelineRounds
		Eventually(func() (uint64, error) {
			program := harness.Always(abi.NetRXDrop)
			reply, err := instance.Control().Install(ctx, abi.HookNetRX, 0, program, harness.Digest(program))
			if reply.Code == abi.OK {
				return 0, err
			}
			stats, statsErr := instance.Control().Stats(ctx)
			Expect(statsErr).NotTo(HaveOccurred())
			return stats.PipelineRounds, err
		}, time.Minute).Should(BeNumerically(">", rounds))
	})

	It("is refused on CPUs where no pipeline runs", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), liveJob())
		_, err := instance.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantPumpPanic, CPUMask: 2})
		var refusal *guest.RefusedError
		Expect(err).To(BeAssignableToTypeOf(refusal))
	})
})

var _ = Describe("the control channel", func() {
	It("stays whole while thousands of panics are told, and takes the next plant with the answer to the last", func() {
		ctx := harness.Context()
		instance := start(ctx, harness.Pool(1), liveJob())
		instance.SetBusy(true)
		const rounds, times = 12, 40
		for range rounds {
			reply, err := instance.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantServicePanic, CPUMask: 1<<cpus - 1, Count: times})
			Expect(err).NotTo(HaveOccurred(), "the plant before was answered, so its place is free")
			Expect(reply.Code).To(Equal(abi.OK))
			Expect(reply.Values[0]).To(BeEquivalentTo(times * cpus))
		}
		stats, err := instance.Control().Stats(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(stats.ServicePanics).To(BeEquivalentTo(rounds * times * cpus))
		dropped := int(stats.Reserved[0]) // whole frames for which the queue had no room, counted
		AddReportEntry("records dropped whole", dropped)
		faultRecords(instance, serviceControl, rounds*times*cpus-dropped)
		Expect(instance.Control().SkippedBytes()).To(BeZero(), "bytes that were part of no whole frame")
	})
})
