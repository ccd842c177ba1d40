// Package deploy is the stage that makes a chosen program current: on one CPU
// first, then on all, and back again by a pointer.
//
// A program lives at a slot index; index 0 is the built-in default and needs no
// storage. Three indices hold the running program, the one before it, and a
// canary. Storage of an index is written only while no CPU can be inside it
// (rt.Quiescent); the hook counts packets in and out, so no packet is lost or
// judged twice by a swap.
//
// With one CPU there is no CPU to spare: the canary is then a share of time,
// the first monitor.CanaryEvents packets, before the version counts as
// installed. The previous version stays one store away all the while.
//
// Invariants: only this package makes a Deployed, from a dryrun.Chosen; the
// table names what is published before and after every single call, so a
// contained panic between two calls leaves it true.
package deploy

import (
	"encoding/binary"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/interp"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
)

// Versions is the number of slot indices, the default's included
// (core/hook/hook.h, HOOK_VERSIONS).
const Versions = 4

// Table is the slot table's other half: what each index holds and why.
type Table struct {
	hook     abi.HookID
	cpuMask  uint32 // all CPUs
	running  uint8  // index on all CPUs, 0 = built-in default
	previous uint8  // where rollback goes
	canary   uint8  // on trial, 0 = none
	trialOn  uint32 // CPUs of the canary
	last     uint32 // version number given last
	slots    [Versions]slot
	storage  [Versions]interp.Loaded
}

type slot struct {
	image     *interp.Loaded // what the code was made from; runs itself where there is none
	version   uint32
	codeBytes uint32 // compiled code behind the index, 0 = the interpreter runs
}

// Deployed names a version that is or was installed.
type Deployed struct {
	Hook      abi.HookID
	index     uint8
	version   uint32
	cpuMask   uint32
	codeBytes uint32
	SwapInsn  uint64
}

// Version is the number events carry, 0 for the built-in default.
func (d Deployed) Version() uint32 { return d.version }

// Index is the slot it lives in.
func (d Deployed) Index() int { return int(d.index) }

// CodeBytes is the length of its compiled code, 0 when the interpreter runs it.
func (d Deployed) CodeBytes() uint32 { return d.codeBytes }

// CPUMask is where it is current.
func (d Deployed) CPUMask() uint32 { return d.cpuMask }

// Boot prepares an empty table: the built-in default runs everywhere.
func (t *Table) Boot(hook abi.HookID, cpus int) {
	t.hook = hook
	t.cpuMask = 1<<uint32(cpus) - 1
	t.running, t.previous, t.canary, t.trialOn = 0, 0, 0, 0
	for i := range t.slots {
		t.slots[i] = slot{image: &t.storage[i]}
	}
}

// Recover makes the table true again after the pipeline was reset in the
// middle of something: a canary is taken back, the rest is published as it is.
func (t *Table) Recover() {
	t.canary, t.trialOn = 0, 0
	if t.slots[0].image != nil {
		rt.Publish(t.hook, int(t.running), t.slots[t.running].version, t.cpuMask)
	}
}

// Begin publishes a chosen program on one CPU (all, if there is but one). With
// no index to write to it changes nothing and says ErrNotQuiescent. Code that
// is not the chosen program's, or none, means that the interpreter runs it.
func (t *Table) Begin(c dryrun.Chosen, code jit.Code, canaryCPU int) (Deployed, abi.Code) {
	if !c.Valid() {
		return Deployed{}, abi.ErrNotFound
	}
	if t.canary != 0 {
		return Deployed{}, abi.ErrBusy
	}
	index, free := t.free()
	if !free {
		return Deployed{}, abi.ErrNotQuiescent
	}
	t.slots[index].image = c.Exchange(t.slots[index].image)
	t.load(index, code)
	t.last++
	t.slots[index].version = t.last
	mask := uint32(1) << uint32(canaryCPU) & t.cpuMask
	if mask == 0 {
		mask = t.cpuMask & -t.cpuMask
	}
	t.canary, t.trialOn = index, mask
	return t.publish(index, mask), abi.OK
}

// load puts the code behind an index that nobody is inside of.
func (t *Table) load(index uint8, code jit.Code) {
	s := &t.slots[index]
	s.codeBytes = 0
	if code.Digest() == s.image.Digest() && rt.LoadCode(t.hook, int(index), code.Bytes()) {
		s.codeBytes = uint32(len(code.Bytes()))
		return
	}
	rt.LoadCode(t.hook, int(index), nil)
}

// free finds an index that nothing needs and no CPU is inside.
func (t *Table) free() (uint8, bool) {
	for index := uint8(1); index < Versions; index++ {
		if index != t.running && index != t.previous && index != t.canary && rt.Quiescent(t.hook, int(index)) {
			return index, true
		}
	}
	return 0, false
}

// Promote makes the canary current on all CPUs. What ran before stays where it
// is, for Rollback.
func (t *Table) Promote() (Deployed, abi.Code) {
	if t.canary == 0 {
		return Deployed{}, abi.ErrNotFound
	}
	t.previous, t.running = t.running, t.canary
	t.canary, t.trialOn = 0, 0
	return t.publish(t.running, t.cpuMask), abi.OK
}

// Rollback takes the canary back, or, with none on trial, makes the previous
// version current again; behind that is the built-in default.
func (t *Table) Rollback() (Deployed, abi.Code) {
	if t.canary != 0 {
		mask := t.trialOn
		t.canary, t.trialOn = 0, 0
		d := t.publish(t.running, mask)
		d.cpuMask = t.cpuMask // it runs everywhere now
		return d, abi.OK
	}
	if t.running == 0 {
		return Deployed{}, abi.ErrNotFound // nothing is behind the default
	}
	t.running, t.previous = t.previous, 0
	return t.publish(t.running, t.cpuMask), abi.OK
}

func (t *Table) publish(index uint8, mask uint32) Deployed {
	version := t.slots[index].version
	if index == 0 {
		version = 0
	}
	before := rt.Instructions()
	rt.Publish(t.hook, int(index), version, mask)
	return Deployed{Hook: t.hook, index: index, version: version, cpuMask: mask,
		codeBytes: t.slots[index].codeBytes, SwapInsn: rt.Instructions() - before}
}

// Running is the program on all CPUs, nil for the built-in default, and its
// version.
func (t *Table) Running() (*interp.Loaded, uint32) {
	if t.running == 0 {
		return nil, 0
	}
	return t.slots[t.running].image, t.slots[t.running].version
}

// RunningDeployed names what is on all CPUs.
func (t *Table) RunningDeployed() Deployed {
	_, version := t.Running()
	return Deployed{Hook: t.hook, index: t.running, version: version, cpuMask: t.cpuMask, codeBytes: t.slots[t.running].codeBytes}
}

// Newest is the index that Rollback would take back: the canary's, else the
// running one.
func (t *Table) Newest() int {
	if t.canary != 0 {
		return int(t.canary)
	}
	return int(t.running)
}

// OnTrial says whether a canary is out.
func (t *Table) OnTrial() bool { return t.canary != 0 }

// PreviousVersion is what Rollback would bring back.
func (t *Table) PreviousVersion() uint32 {
	index := t.previous
	if t.canary != 0 {
		index = t.running
	}
	if index == 0 {
		return 0
	}
	return t.slots[index].version
}

// Digest names the program at an index; zero for the default.
func (t *Table) Digest(index int) abi.Digest {
	if index <= 0 || index >= Versions || t.slots[index].image == nil {
		return abi.Digest{}
	}
	return t.slots[index].image.Digest()
}

// Program is what the hook runs at an index, nil where there is none.
func (t *Table) Program(index uint32) *interp.Loaded {
	if index == 0 || index >= Versions || t.slots[index].image == nil {
		return nil
	}
	return t.slots[index].image
}

// Attest hashes the program at an index where it lies: alone, and under a
// nonce with the hook and the number of events handled (as the lab does).
func (t *Table) Attest(index int, nonce []byte, events uint64, program, attestation *abi.Digest) abi.Code {
	if index < 0 || index >= Versions || len(nonce) != 32 {
		return abi.ErrBadValue
	}
	var plain, bound bpf.Hasher
	var wire [bpf.SlotBytes]byte
	plain.Reset()
	bound.Reset()
	bound.Write(nonce)
	wire[0] = byte(t.hook)
	bound.Write(wire[:1])
	if index > 0 {
		for _, instruction := range t.slots[index].image.Slots() {
			bpf.EncodeSlot(instruction, wire[:])
			plain.Write(wire[:])
			bound.Write(wire[:])
		}
	}
	binary.LittleEndian.PutUint64(wire[:], events)
	bound.Write(wire[:])
	*program, *attestation = plain.Sum(), bound.Sum()
	return abi.OK
}
