// Package sim runs the services on a simulated machine: a clock, CPUs with
// rings and slots, the default packet path, traffic, faults. Host only.
//
// Everything follows from one seed: the order in which CPUs and the pipeline
// take turns, what the packets are, what each costs. A packet is two turns of
// its CPU, entering a slot and leaving it, and anything may happen between
// them, a swap above all; that is how the simulation shows that a swap loses no
// packet and takes no program from under a CPU's feet.
//
// It implements rt.Backend. Broken invariants are collected, not thrown, and
// carry the seed.
package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/pipeline"
)

// flowWindowPackets is the hook's: after so many packets of a CPU the count
// per source starts again (core/hook/hook.h, HOOK_FLOW_WINDOW_PACKETS).
const flowWindowPackets = 1024

// Kernel is one simulated machine.
type Kernel struct {
	Seed     uint64
	Pipeline *pipeline.Pipeline
	Records  []abi.Record
	Programs map[abi.Digest]string // texts that the kernel streamed
	Replies  map[uint32]abi.InstallReply
	Broken   []string // violated invariants, with the seed

	Listens  map[Listen]bool
	PumpTime uint64 // virtual ns one Pump takes
	Stuck    int    // a CPU that never leaves its slot, -1 = none

	random   *rand.Rand
	now      uint64
	wakeAt   uint64
	cpus     []cpu
	main     int
	lost     map[uint32]*Loss
	nextSend uint32
}

// Listen is a consumer's address.
type Listen struct {
	Protocol uint8
	Port     uint16
}

// Loss counts what one version did to packets that a consumer would have taken.
type Loss struct {
	Dropped uint64 // dropped for good
	Audited uint64 // dropped, delivered all the same
}

type cpu struct {
	ring     []abi.NetRXEvent
	lost     uint64
	current  slotWord
	stats    abi.NetRXStats
	drops    uint64
	audited  uint32 // version that drops counts for
	flows    map[uint32]flow
	inside   *entered
	ended    uint64 // packets that left
	nextRead uint64
	read     uint64 // events the pipeline took
}

type flow struct {
	packets uint32
	firstNS uint64
}

type slotWord struct {
	index   int
	version uint32
	canary  bool
}

// entered is a packet between its two turns.
type entered struct {
	slot     slotWord
	digest   abi.Digest // of what lay at the index when the packet came in
	packet   []byte
	sequence uint64
	flow     flow
}

// New boots a machine. The backend of package rt is this machine until Close.
func New(seed uint64, cpus int) *Kernel {
	k := &Kernel{
		Seed: seed, Pipeline: new(pipeline.Pipeline), Programs: map[abi.Digest]string{},
		Replies: map[uint32]abi.InstallReply{}, Listens: map[Listen]bool{}, PumpTime: 8_000, Stuck: -1,
		random: rand.New(rand.NewPCG(seed, 0x5eed)), cpus: make([]cpu, cpus), lost: map[uint32]*Loss{},
	}
	for i := range k.cpus {
		k.cpus[i].flows = map[uint32]flow{}
	}
	rt.SetBackend(k)
	k.Pipeline.Boot(cpus)
	return k
}

// Close gives the backend back.
func (k *Kernel) Close() { rt.SetBackend(nil) }

func (k *Kernel) broken(format string, arguments ...any) {
	if len(k.Broken) < 20 {
		k.Broken = append(k.Broken, fmt.Sprintf("seed %d, %d ns: ", k.Seed, k.now)+fmt.Sprintf(format, arguments...))
	}
}

// The rt.Backend interface.

func (k *Kernel) NowNS() uint64        { return k.now }
func (k *Kernel) Instructions() uint64 { return k.now }
func (k *Kernel) CPUs() int            { return len(k.cpus) }
func (k *Kernel) Log([]byte)           {}

func (k *Kernel) RingLost(cpu int) uint64 { return k.cpus[cpu].lost }

func (k *Kernel) RingRead(cpu int, event *abi.NetRXEvent) bool {
	c := &k.cpus[cpu]
	if len(c.ring) == 0 {
		return false
	}
	*event = c.ring[0]
	c.ring = c.ring[1:]
	if event.Sequence < c.nextRead {
		k.broken("cpu %d: event %d read twice", cpu, event.Sequence)
	}
	c.nextRead = event.Sequence + 1
	c.read++
	return true
}

// LoadCode keeps no code: packets are decided by the interpreter here. That
// nobody is inside the index holds for both.
func (k *Kernel) LoadCode(hook abi.HookID, index int, code []byte) bool {
	if hook != abi.HookNetRX || index <= 0 || index >= deploy.Versions || !k.Quiescent(hook, index) {
		k.broken("code of %d bytes for hook %d index %d, which is in use", len(code), hook, index)
		return false
	}
	return true
}

func (k *Kernel) Publish(hook abi.HookID, index int, version uint32, cpuMask uint32) {
	all := uint32(1)<<len(k.cpus) - 1
	if hook != abi.HookNetRX || index < 0 || index >= deploy.Versions || cpuMask == 0 || cpuMask&^all != 0 {
		k.broken("publish of hook %d index %d mask %x", hook, index, cpuMask)
		return
	}
	if cpuMask == all {
		k.main = index
	}
	for i := range k.cpus {
		if cpuMask>>i&1 != 0 {
			k.cpus[i].current = slotWord{index, version, index != k.main}
		}
	}
}

func (k *Kernel) Quiescent(hook abi.HookID, index int) bool {
	if index == 0 {
		return false
	}
	for i := range k.cpus {
		c := &k.cpus[i]
		if c.current.index == index || c.inside != nil && c.inside.slot.index == index {
			return false
		}
	}
	return true
}

func (k *Kernel) HookStats(hook abi.HookID, cpu int, stats *abi.NetRXStats) {
	if cpu != rt.AllCPUs {
		*stats = k.cpus[cpu].stats
		return
	}
	*stats = abi.NetRXStats{}
	for i := range k.cpus {
		s := &k.cpus[i].stats
		stats.Offered += s.Offered
		stats.Delivered += s.Delivered
		stats.NoConsumer += s.NoConsumer
		stats.Malformed += s.Malformed
		stats.Dropped += s.Dropped
		stats.Audited += s.Audited
		stats.AuditedWanted += s.AuditedWanted
		stats.Errors += s.Errors
		stats.CostInsn += s.CostInsn
	}
	stats.SlotVersion = k.cpus[0].current.version
}

func (k *Kernel) SendFrame(frame []byte) {
	header, payload, consumed, code := abi.ParseFrame(frame)
	if code != abi.OK || consumed != len(frame) {
		k.broken("frame: %v, %d of %d bytes", code, consumed, len(frame))
		return
	}
	switch header.Type {
	case abi.MessageRecord:
		var record abi.Record
		record.Get(payload)
		if record.Sequence != uint64(len(k.Records)) {
			k.broken("record %d after %d", record.Sequence, len(k.Records))
		}
		k.Records = append(k.Records, record)
	case abi.MessageProgram:
		k.Programs[abi.Digest(payload[:32])] = string(payload[32:])
	case abi.MessageInstallReply:
		var reply abi.InstallReply
		reply.Get(payload)
		if _, twice := k.Replies[header.Sequence]; twice {
			k.broken("second reply to request %d", header.Sequence)
		}
		k.Replies[header.Sequence] = reply
	default:
		k.broken("unexpected message %d", header.Type)
	}
}

// Loss is what a version cost in wanted packets so far.
func (k *Kernel) Loss(version uint32) Loss {
	if l := k.lost[version]; l != nil {
		return *l
	}
	return Loss{}
}

// LossBound is the most wanted packets one version may drop before the monitor
// takes it back. One of 64 drops is audited, so the chance that N wanted ones
// slip through unseen is (63/64)^N: 64 on average, over 1024 once in ten
// million versions.
const LossBound = 16 * dryrun.AuditInterval
