// "Live packets meet the running program": frames go over a wire into the
// guest's network card, and what comes back is what the standards ask for.
package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
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

func TestTraffic(t *testing.T) { harness.RunSuite(t, "Live packets meet the running program") }

const (
	cpus = 2

	// The driver's buffers hold 2,048 bytes, 12 of them virtio's header.
	frameBytesMax = 2048 - 12

	replyLimit = 20 * time.Second
	settleTime = 300 * time.Millisecond
)

// cable is a guest and both directions of its network.
type cable struct {
	ctx      context.Context
	instance fleet.Instance
	send     func([]byte) error
	receive  <-chan []byte
}

// plug starts a guest and waits until its consumers listen: a request for a
// phase that does not exist is answered after the job was prepared.
func plug() *cable {
	GinkgoHelper()
	c := &cable{ctx: harness.Context()}
	job := harness.Job(harness.Scenario(harness.Seed()), abi.JobLive, nil)
	var err error
	c.instance, err = harness.Pool(1).Start(c.ctx, fleet.Spec{Target: fleet.TargetOurs, Mode: fleet.Live, CPUs: cpus,
		Job: job, Seed: harness.Seed(), Frames: true})
	Expect(err).NotTo(HaveOccurred())
	c.instance.SetBusy(true)
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			GinkgoWriter.Printf("guest %s: %v\n%s\n", c.instance.State(), c.instance.Err(), c.instance.Console())
		}
	})
	c.send, c.receive = c.instance.Frames()
	reply, err := c.instance.Control().Traffic(c.ctx, abi.TrafficRequest{PacketCount: 1, Phase: 31})
	Expect(err).NotTo(HaveOccurred())
	Expect(reply.Code).To(Equal(abi.ErrNotFound))
	return c
}

func (c *cable) put(frames ...[]byte) {
	GinkgoHelper()
	for _, one := range frames {
		Expect(c.send(one)).To(Succeed())
	}
}

func (c *cable) next() (reply []byte) {
	GinkgoHelper()
	Eventually(c.receive, replyLimit).Should(Receive(&reply))
	return reply
}

func (c *cable) quiet() {
	GinkgoHelper()
	Consistently(c.receive, settleTime).ShouldNot(Receive())
}

func (c *cable) stats() abi.NetRXStats {
	GinkgoHelper()
	stats, err := c.instance.Control().Stats(c.ctx)
	Expect(err).NotTo(HaveOccurred())
	return stats.NetRX
}

// counted is how far each counter rose.
type counted struct{ offered, delivered, noConsumer, malformed, dropped, audited uint64 }

func since(before, now abi.NetRXStats) counted {
	return counted{now.Offered - before.Offered, now.Delivered - before.Delivered, now.NoConsumer - before.NoConsumer,
		now.Malformed - before.Malformed, now.Dropped - before.Dropped, now.Audited - before.Audited}
}

// expectCounted waits until the counters have risen by exactly that much, and
// shows that they stay there.
func (c *cable) expectCounted(before abi.NetRXStats, want counted) {
	GinkgoHelper()
	now := func() counted { return since(before, c.stats()) }
	Eventually(now, replyLimit, 20*time.Millisecond).Should(Equal(want))
	Consistently(now, settleTime, 50*time.Millisecond).Should(Equal(want))
}

var _ = Describe("a frame on the wire", Ordered, func() {
	var wire *cable
	BeforeAll(func() { wire = plug() })

	It("that asks for an echo gets it, whatever its length", func() {
		before := wire.stats()
		lengths := []int{0, 1, 17, 56, 57, 1000, 1472, frameBytesMax - headersBytes - 8}
		for number, length := range lengths {
			payload := make([]byte, length)
			for at := range payload {
				payload[at] = byte(at * 7)
			}
			wire.put(echoRequest(0x1234, uint16(number), payload))
			echo := expectReply(wire.next(), protocolICMP)
			Expect(echo[0:2]).To(Equal([]byte{0, 0}), "echo reply")
			Expect(binary.BigEndian.Uint16(echo[4:])).To(BeEquivalentTo(0x1234))
			Expect(binary.BigEndian.Uint16(echo[6:])).To(BeEquivalentTo(number))
			Expect(echo[8:]).To(Equal(payload))
		}
		wire.expectCounted(before, counted{offered: uint64(len(lengths)), delivered: uint64(len(lengths))})
	})

	It("to a UDP port nobody listens on is answered with port unreachable", func() {
		before := wire.stats()
		for _, length := range []int{0, 1, 600, 1400} {
			sent := udp(closedPort, make([]byte, length))
			wire.put(sent)
			unreachable := expectReply(wire.next(), protocolICMP)
			Expect(unreachable[0:2]).To(Equal([]byte{3, 3}), "destination unreachable, port")
			quoted := unreachable[8:]
			Expect(len(unreachable)+ipBytes).To(BeNumerically("<=", 576), "RFC 1812 section 4.3.2.3")
			Expect(len(quoted)).To(BeNumerically(">=", ipBytes+8))
			Expect(sent[ethernetBytes:ethernetBytes+len(quoted)]).To(Equal(quoted), "the datagram it is about")
		}
		wire.expectCounted(before, counted{offered: 4, noConsumer: 4})
	})

	It("that opens a TCP port nobody listens on is answered with a reset", func() {
		before := wire.stats()
		for _, sequence := range []uint32{0, 1, 0xffffffff, 0x12345678} {
			wire.put(synTo(closedPort, sequence))
			reset := expectReply(wire.next(), protocolTCP)
			Expect(reset).To(HaveLen(20))
			Expect(binary.BigEndian.Uint16(reset[0:])).To(BeEquivalentTo(closedPort))
			Expect(binary.BigEndian.Uint16(reset[2:])).To(BeEquivalentTo(clientPort))
			Expect(binary.BigEndian.Uint32(reset[4:])).To(BeZero(), "SEQ of RFC 9293 section 3.5.2")
			Expect(binary.BigEndian.Uint32(reset[8:])).To(Equal(sequence+1), "ACK = SEG.SEQ + SEG.LEN")
			Expect(reset[13]).To(BeEquivalentTo(flagRST | flagACK))
		}
		wire.expectCounted(before, counted{offered: 4, noConsumer: 4})
	})

	It("to a port somebody listens on is delivered, in bursts longer than the card's ring", func() {
		before := wire.stats()
		const burst = 1000
		for number := range burst {
			wire.put(udp(capture.PortDNS, binary.BigEndian.AppendUint32(nil, uint32(number))))
		}
		wire.expectCounted(before, counted{offered: burst, delivered: burst})
		wire.quiet()
	})
})

var _ = Describe("hostile frames", Ordered, func() {
	var wire *cable
	BeforeAll(func() { wire = plug() })

	AfterEach(func() {
		wire.put(echoRequest(1, 1, []byte("still there?")))
		Expect(expectReply(wire.next(), protocolICMP)[8:]).To(BeEquivalentTo("still there?"))
	})

	It("cut at every length are counted as malformed", func() {
		before := wire.stats()
		whole := [][]byte{udp(capture.PortDNS, []byte("a question")), synTo(capture.PortHTTP, 5), echoRequest(3, 4, []byte("ping"))}
		var want counted
		for _, one := range whole {
			for cut := 1; cut < len(one); cut++ {
				wire.put(one[:cut])
				want.malformed++
			}
		}
		want.offered = want.malformed
		wire.expectCounted(before, want)
		wire.quiet()
	})

	It("with one bit spoilt behind the Ethernet header are counted as malformed", func() {
		before := wire.stats()
		whole := udp(capture.PortDNS, []byte("a question"))
		var want counted
		for bit := 8 * ethernetBytes; bit < 8*len(whole); bit++ {
			spoilt := append([]byte{}, whole...)
			spoilt[bit/8] ^= 1 << (bit % 8)
			wire.put(spoilt)
			want.malformed++
		}
		want.offered = want.malformed
		wire.expectCounted(before, want)
		wire.quiet()
	})

	It("of random bytes crash nothing and are all counted", func() {
		before := wire.stats()
		random := rand.New(rand.NewPCG(harness.Seed(), 0x77697265))
		const frames = 2000
		var want counted
		for range frames {
			noise := make([]byte, headersBytes+random.IntN(frameBytesMax-headersBytes))
			for at := range noise {
				noise[at] = byte(random.Uint32())
			}
			switch { // half of them claim to be IPv4
			case random.IntN(2) == 0:
				noise[12], noise[13] = 8, 0
				noise[ethernetBytes] = 0x45
				noise[ethernetBytes+10] = ^noise[ethernetBytes+10] // and may not be right by accident:
				if checksum(noise[ethernetBytes:headersBytes]) == 0 {
					noise[ethernetBytes+10] ^= 1
				}
				want.malformed++
			default:
				noise[12] = 0x86
				want.noConsumer++
			}
			wire.put(noise)
		}
		want.offered = frames
		wire.expectCounted(before, want)
		wire.quiet()
	})

	It("longer than the card's buffers never reach the kernel", func() {
		before := wire.stats()
		longest := echoRequest(9, 9, make([]byte, frameBytesMax-headersBytes-8))
		for _, more := range []int{1, 12, 100, 2048, 9000, 60000} {
			wire.put(append(append([]byte{}, longest...), make([]byte, more)...))
		}
		wire.put(longest)
		expectReply(wire.next(), protocolICMP)
		wire.expectCounted(before, counted{offered: 1, delivered: 1})
	})
})

var _ = Describe("a cable that is pulled", func() {
	It("and put back loses nothing but what was sent in between", func() {
		wire := plug()
		const frames = 200
		numbered := func(first int) {
			GinkgoHelper()
			for number := range frames {
				wire.put(udp(capture.PortDNS, binary.BigEndian.AppendUint32(nil, uint32(first+number))))
			}
		}
		for round := range 3 {
			before := wire.stats()
			numbered(1000 * round)
			wire.expectCounted(before, counted{offered: frames, delivered: frames})

			Expect(wire.instance.SetLink(wire.ctx, false)).To(Succeed())
			numbered(100_000)
			wire.expectCounted(before, counted{offered: frames, delivered: frames})

			Expect(wire.instance.SetLink(wire.ctx, true)).To(Succeed())
			numbered(200_000)
			wire.expectCounted(before, counted{offered: 2 * frames, delivered: 2 * frames})
			wire.put(echoRequest(7, uint16(round), nil))
			Expect(binary.BigEndian.Uint16(expectReply(wire.next(), protocolICMP)[6:])).To(BeEquivalentTo(round))
		}
	})
})

// flood keeps junk and wanted datagrams coming until it is ended, which waits
// for the last one to be sent and tells how many there were.
func (c *cable) flood() (end func() (wanted, junk uint64)) {
	done, ended := make(chan struct{}), make(chan [2]uint64, 1)
	go func() {
		var sent [2]uint64
		defer func() { ended <- sent }()
		for {
			for number := range 8 {
				port, kind := uint16(closedPort), 1
				if number == 0 {
					port, kind = capture.PortDNS, 0
				}
				if c.send(udp(port, make([]byte, 200))) != nil {
					return
				}
				sent[kind]++
			}
			select {
			case <-done:
				return
			case <-c.receive: // the guest's refusals set the pace
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() (uint64, uint64) {
		close(done)
		sent := <-ended
		return sent[0], sent[1]
	}
}

var _ = Describe("a program installed under live traffic", func() {
	It("drops the port it was told to, passes the rest, and is taken back by request", func() {
		wire := plug()
		control := wire.instance.Control()
		end := wire.flood()
		program := harness.DropUDPExcept(capture.PortDNS)
		var installed abi.InstallReply
		Eventually(func() (abi.Code, error) {
			var err error
			installed, err = control.Install(wire.ctx, abi.HookNetRX, 0, program, harness.Digest(program))
			return installed.Code, ignoreBusy(err)
		}, time.Minute).Should(Equal(abi.OK))
		wanted, junk := end()
		Expect(installed.SlotVersion).NotTo(BeZero())
		AddReportEntry("wanted and junk datagrams until it ran", []uint64{wanted, junk})
		wire.settle()

		before := wire.stats()
		Expect(before.SlotVersion).To(Equal(installed.SlotVersion))
		const each = 640
		for number := range each {
			wire.put(udp(closedPort, []byte("junk")), udp(capture.PortDNS, binary.BigEndian.AppendUint32(nil, uint32(number))))
		}
		wire.put(synTo(closedPort, 1)) // another protocol is none of its business
		const audits = each / 64
		wire.expectCounted(before, counted{offered: 2*each + 1, delivered: each, dropped: each - audits,
			audited: audits, noConsumer: audits + 1})
		for range audits { // an audited drop is handled as if nothing had been decided
			Expect(expectReply(wire.next(), protocolICMP)[0:2]).To(Equal([]byte{3, 3}))
		}
		expectReply(wire.next(), protocolTCP)
		wire.quiet()
		after := wire.stats()
		Expect(after.Errors).To(BeZero())
		Expect(after.AuditedWanted).To(BeZero())
		Expect(after.SwapsDuplicated).To(BeZero())

		_, err := control.Rollback(wire.ctx, abi.HookNetRX)
		Expect(err).NotTo(HaveOccurred())
		before = wire.stats()
		Expect(before.SlotVersion).To(BeZero())
		wire.put(udp(closedPort, nil))
		expectReply(wire.next(), protocolICMP)
		wire.expectCounted(before, counted{offered: 1, noConsumer: 1})
	})
})

// ignoreBusy: a guest that is busy with another program is asked again.
func ignoreBusy(err error) error {
	var refusal *guest.RefusedError
	if errors.As(err, &refusal) && refusal.Code == abi.ErrBusy {
		return nil
	}
	return err
}

// settle waits until nothing is under way and forgets what came back.
func (c *cable) settle() {
	GinkgoHelper()
	last := c.stats()
	Eventually(func() bool {
		for len(c.receive) > 0 {
			<-c.receive
		}
		now := c.stats()
		same := now.Offered == last.Offered
		last = now
		return same
	}, replyLimit, settleTime).Should(BeTrue())
	for len(c.receive) > 0 {
		<-c.receive
	}
}
