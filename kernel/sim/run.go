package sim

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
)

// Run offers packets drawn from a mix until so many have entered, with turns
// of CPUs and pipeline interleaved by the seed.
func (k *Kernel) Run(mix Mix, packets int) {
	for packets > 0 {
		k.now += 200 + k.random.Uint64N(1500)
		if k.now >= k.wakeAt {
			k.pump()
		}
		i := k.random.IntN(len(k.cpus))
		c := &k.cpus[i]
		switch {
		case c.inside == nil:
			k.enter(c, mix.draw(k.random).Frame())
			packets--
		case i != k.Stuck:
			k.leave(i, c)
		}
	}
}

// Settle lets every packet leave and the pipeline finish what it can.
func (k *Kernel) Settle(pumps int) {
	for i := range k.cpus {
		if k.cpus[i].inside != nil && i != k.Stuck {
			k.leave(i, &k.cpus[i])
		}
	}
	for ; pumps > 0; pumps-- {
		k.now += k.PumpTime
		if k.now >= k.wakeAt {
			k.pump()
		}
	}
}

func (k *Kernel) pump() {
	sleep := k.Pipeline.Pump(k.now)
	k.wakeAt = k.now + k.PumpTime + sleep
}

// enter is a packet's first turn: it reads the slot.
func (k *Kernel) enter(c *cpu, packet []byte) {
	e := &entered{slot: c.current, packet: packet, sequence: c.stats.Offered}
	c.stats.Offered++
	if e.sequence%flowWindowPackets == 0 {
		clear(c.flows)
	}
	if len(packet) >= 34 {
		source := binary.BigEndian.Uint32(packet[26:])
		f := c.flows[source]
		if f.packets == 0 {
			f.firstNS = k.now
		}
		f.packets++
		c.flows[source] = f
		e.flow = f
	}
	e.digest = k.Pipeline.ProgramDigest(e.slot.index)
	c.inside = e
}

// leave is its second turn: the program it entered with decides, the default
// path or the drop follows, and the event is written.
func (k *Kernel) leave(number int, c *cpu) {
	e := c.inside
	c.inside = nil
	if now := k.Pipeline.ProgramDigest(e.slot.index); now != e.digest {
		k.broken("cpu %d: program at index %d changed under a packet", number, e.slot.index)
	}
	if e.sequence != c.ended {
		k.broken("cpu %d: packet %d ended as number %d", number, e.sequence, c.ended)
	}
	c.ended++
	event := abi.NetRXEvent{
		Sequence: e.sequence, TimeNS: k.now, SlotVersion: e.slot.version, FlowPackets: e.flow.packets,
		FlowAgeNS: uint32(k.now - e.flow.firstNS), PacketBytes: uint16(len(e.packet)), CPU: uint8(number), Action: abi.NetRXPass,
	}
	event.SnapBytes = uint16(copy(event.Snap[:], e.packet))
	cost := k.decide(number, c, e, &event)
	truth, path := k.defaultPath(e.packet)
	deliver := event.Action == abi.NetRXPass
	if event.Action == abi.NetRXDrop {
		deliver = c.audit(e.slot.version)
		k.charge(e.slot.version, truth, deliver)
	}
	if deliver {
		event.Outcome = truth
		cost += path
		if event.Action == abi.NetRXDrop {
			event.Flags |= abi.EventAudited
		}
	} else {
		cost += costs.dropped
	}
	event.CostInsn = uint32(cost)
	c.finish(&event)
}

// decide asks the program, as the hook does.
func (k *Kernel) decide(number int, c *cpu, e *entered, event *abi.NetRXEvent) (cost uint64) {
	if e.slot.index == 0 {
		return 0
	}
	if e.slot.canary {
		event.Flags |= abi.EventCanary
	}
	context := abi.NetRXContext{
		DataEnd: uint32(len(e.packet)), IngressIfindex: 1, RxQueueIndex: uint32(number),
		FlowPackets: e.flow.packets, FlowAgeNS: event.FlowAgeNS,
	}
	action, steps, code := k.Pipeline.DecideSteps(number, uint32(e.slot.index), &context, e.packet)
	if code != abi.OK || action != abi.NetRXDrop && action != abi.NetRXPass {
		event.Flags |= abi.EventError
	} else {
		event.Flags |= abi.EventProgramRan
		event.Action = uint8(action)
	}
	return costs.entry + costs.step*uint64(steps)
}

// audit delivers the first and then every 64th packet a version drops.
func (c *cpu) audit(version uint32) bool {
	if c.audited != version {
		c.audited, c.drops = version, 0
	}
	c.drops++
	return (c.drops-1)%dryrun.AuditInterval == 0
}

func (k *Kernel) charge(version uint32, truth abi.Outcome, audited bool) {
	if truth != abi.OutcomeDelivered {
		return
	}
	l := k.lost[version]
	if l == nil {
		l = new(Loss)
		k.lost[version] = l
	}
	if audited {
		l.Audited++
	} else {
		l.Dropped++
	}
}

func (c *cpu) finish(event *abi.NetRXEvent) {
	s := &c.stats
	switch event.Outcome {
	case abi.OutcomeDelivered:
		s.Delivered++
	case abi.OutcomeNoConsumer:
		s.NoConsumer++
	case abi.OutcomeMalformed:
		s.Malformed++
	default:
		s.Dropped++
	}
	if event.Flags&abi.EventError != 0 {
		s.Errors++
	}
	if event.Flags&abi.EventAudited != 0 {
		s.Audited++
		if event.Outcome == abi.OutcomeDelivered {
			s.AuditedWanted++
		}
	}
	s.CostInsn += uint64(event.CostInsn)
	if len(c.ring) >= abi.RingEvents {
		c.lost++
		return
	}
	c.ring = append(c.ring, *event)
}

// Check adds up at the end: every packet that entered left once and became one
// event, which was read once, waits in the ring, or was counted as lost.
func (k *Kernel) Check() []string {
	for i := range k.cpus {
		c := &k.cpus[i]
		under := uint64(0)
		if c.inside != nil {
			under = 1
		}
		if c.stats.Offered != c.ended+under {
			k.broken("cpu %d: %d offered, %d ended, %d under way", i, c.stats.Offered, c.ended, under)
		}
		if c.ended != c.read+uint64(len(c.ring))+c.lost {
			k.broken("cpu %d: %d ended, %d read, %d waiting, %d lost", i, c.ended, c.read, len(c.ring), c.lost)
		}
		s := &c.stats
		if c.ended != s.Delivered+s.NoConsumer+s.Malformed+s.Dropped {
			k.broken("cpu %d: outcomes do not add up: %+v", i, *s)
		}
	}
	for version, l := range k.lost {
		if l.Dropped > LossBound {
			k.broken("version %d dropped %d wanted packets, bound %d", version, l.Dropped, LossBound)
		}
	}
	return k.Broken
}
