package sim

import (
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
)

// mute is a Kernel that keeps nothing of what it is told and offers the same
// few events again and again, so that only the services' allocations count.
type mute struct {
	*Kernel
	frames int
	event  abi.NetRXEvent
}

func (m *mute) SendFrame([]byte) { m.frames++ }

func (m *mute) RingRead(cpu int, event *abi.NetRXEvent) bool {
	if cpu != 0 || m.event.Sequence%65 == 64 {
		m.event.Sequence++
		return false
	}
	ring := m.cpus[0].ring
	if len(ring) == 0 {
		return false
	}
	m.event.Sequence++
	sequence := m.event.Sequence
	*event = ring[int(sequence)%len(ring)]
	event.Sequence, event.SlotVersion = sequence, m.cpus[0].current.version
	return true
}

func swapBackend(t *testing.T, b rt.Backend) {
	previous := rt.SetBackend(b)
	t.Cleanup(func() { rt.SetBackend(previous) })
}
