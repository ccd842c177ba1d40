// Package telemetry is the first stage: it drains the per-CPU event rings into
// a fixed window and condenses the window into a Snapshot, the only thing a
// proposer sees.
//
// Invariants: all storage belongs to the caller and is sized by constants; a
// window is filled, then frozen while it is judged; every number in a Snapshot
// is counted exactly over the window, the bounded counters only choose what is
// worth counting.
package telemetry

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
)

// WindowEvents is the length of a recorded window: 1024 events of 128 bytes
// are 128 KiB. It equals one ring, so that one full ring is one window.
const WindowEvents = 1024

// Window is a recorded stretch of traffic from all CPUs.
type Window struct {
	Events  [WindowEvents]abi.NetRXEvent
	Packets [WindowEvents]Packet // the fields of Events[i], decoded once
	Count   int
	Lost    uint64 // events the rings lost while the window was filled
}

// Clear empties the window. The old bytes stay, Count hides them.
func (w *Window) Clear() {
	w.Count = 0
	w.Lost = 0
}

// Full says that no further event fits.
func (w *Window) Full() bool { return w.Count == WindowEvents }

// Add appends one event and says whether there was room.
func (w *Window) Add(event *abi.NetRXEvent) bool {
	if w.Count >= WindowEvents {
		return false
	}
	w.Events[w.Count] = *event
	decode(&w.Events[w.Count], &w.Packets[w.Count])
	w.Count++
	return true
}

// Reader takes events from all rings in turn, so that a busy CPU cannot hide a
// quiet one.
type Reader struct {
	next     int
	lastLost [abi.CPUMax]uint64
}

// Next copies the oldest unread event of the next ring that has one.
func (r *Reader) Next(event *abi.NetRXEvent) bool {
	cpus := cpuCount()
	for try := 0; try < cpus; try++ {
		cpu := r.next % cpus
		r.next = cpu + 1
		if rt.RingRead(cpu, event) {
			return true
		}
	}
	return false
}

// LostSince returns how many events the rings lost since it was last called.
func (r *Reader) LostSince() uint64 {
	total := uint64(0)
	for cpu := 0; cpu < cpuCount(); cpu++ {
		lost := rt.RingLost(cpu)
		total += lost - r.lastLost[cpu]
		r.lastLost[cpu] = lost
	}
	return total
}

func cpuCount() int {
	cpus := rt.CPUs()
	if cpus > abi.CPUMax {
		return abi.CPUMax
	}
	return cpus
}

// BusiestCPU is the CPU with the most events in the window.
func (w *Window) BusiestCPU() int {
	var events [abi.CPUMax]int
	best := 0
	for i := 0; i < w.Count; i++ {
		cpu := int(w.Events[i].CPU)
		if cpu >= abi.CPUMax {
			continue
		}
		events[cpu]++
		if events[cpu] > events[best] {
			best = cpu
		}
	}
	return best
}
