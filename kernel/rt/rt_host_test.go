package rt

import (
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// counting is a backend that answers with recognisable numbers.
type counting struct{ frames, published int }

func (c *counting) NowNS() uint64        { return 11 }
func (c *counting) Instructions() uint64 { return 22 }
func (c *counting) CPUs() int            { return 3 }
func (c *counting) RingRead(cpu int, event *abi.NetRXEvent) bool {
	event.CPU = uint8(cpu)
	return true
}
func (c *counting) RingLost(cpu int) uint64                            { return uint64(cpu) + 40 }
func (c *counting) LoadCode(_ abi.HookID, index int, code []byte) bool { return index == len(code) }
func (c *counting) Publish(abi.HookID, int, uint32, uint32)            { c.published++ }
func (c *counting) Quiescent(_ abi.HookID, index int) bool             { return index == 2 }
func (c *counting) HookStats(_ abi.HookID, cpu int, s *abi.NetRXStats) { s.Offered = uint64(cpu) }
func (c *counting) SendFrame(frame []byte)                             { c.frames += len(frame) }
func (c *counting) Log(line []byte)                                    {}

func TestCallsReachTheBackend(t *testing.T) {
	c := &counting{}
	defer SetBackend(SetBackend(c))
	var event abi.NetRXEvent
	var stats abi.NetRXStats
	Publish(abi.HookNetRX, 1, 2, 3)
	SendFrame(make([]byte, 9))
	HookStats(abi.HookNetRX, 5, &stats)
	if NowNS() != 11 || Instructions() != 22 || CPUs() != 3 || RingLost(2) != 42 || !RingRead(6, &event) ||
		!LoadCode(abi.HookNetRX, 3, make([]byte, 3)) || LoadCode(abi.HookNetRX, 3, nil) || !Quiescent(abi.HookNetRX, 2) || Quiescent(abi.HookNetRX, 1) || event.CPU != 6 || stats.Offered != 5 ||
		c.published != 1 || c.frames != 9 {
		t.Errorf("a call went astray: %+v %+v %+v", c, event.CPU, stats.Offered)
	}
}

// TestAbsentBackendIsLoud: a service called without a kernel must not seem to work.
func TestAbsentBackendIsLoud(t *testing.T) {
	defer SetBackend(SetBackend(nil))
	for name, call := range map[string]func(){
		"NowNS":     func() { NowNS() },
		"SendFrame": func() { SendFrame([]byte{1}) },
		"Quiescent": func() { Quiescent(abi.HookNetRX, 1) },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "SetBackend") {
					t.Errorf("%s: panicked with %q", name, text)
				}
			}()
			call()
		}()
	}
}
