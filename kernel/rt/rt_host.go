//go:build !tinygo

package rt

import "github.com/kingly-os/go-kernel/kernel/abi"

// backend is one for the process: services are written for one kernel. Tests
// that set it must not run in parallel with each other.
var backend Backend = absent{}

// SetBackend installs what the calls below reach, and returns what was there
// before so that a test can put it back.
func SetBackend(b Backend) (previous Backend) {
	previous = backend
	if b == nil {
		b = absent{}
	}
	backend = b
	return previous
}

func NowNS() uint64                                { return backend.NowNS() }
func Instructions() uint64                         { return backend.Instructions() }
func CPUs() int                                    { return backend.CPUs() }
func RingRead(cpu int, event *abi.NetRXEvent) bool { return backend.RingRead(cpu, event) }
func RingLost(cpu int) uint64                      { return backend.RingLost(cpu) }
func SendFrame(frame []byte)                       { backend.SendFrame(frame) }
func Log(line []byte)                              { backend.Log(line) }

func LoadCode(hook abi.HookID, index int, code []byte) bool {
	return backend.LoadCode(hook, index, code)
}

func Publish(hook abi.HookID, index int, version uint32, cpuMask uint32) {
	backend.Publish(hook, index, version, cpuMask)
}

func Quiescent(hook abi.HookID, index int) bool { return backend.Quiescent(hook, index) }

func HookStats(hook abi.HookID, cpu int, stats *abi.NetRXStats) {
	backend.HookStats(hook, cpu, stats)
}

// absent stands in until a simulation is set. A service that is called without
// one is a mistake of the caller, and silence would hide it.
type absent struct{}

const absentText = "rt: no backend; call rt.SetBackend first (kernel/sim does)"

func (absent) NowNS() uint64                              { panic(absentText) }
func (absent) Instructions() uint64                       { panic(absentText) }
func (absent) CPUs() int                                  { panic(absentText) }
func (absent) RingRead(int, *abi.NetRXEvent) bool         { panic(absentText) }
func (absent) RingLost(int) uint64                        { panic(absentText) }
func (absent) LoadCode(abi.HookID, int, []byte) bool      { panic(absentText) }
func (absent) Publish(abi.HookID, int, uint32, uint32)    { panic(absentText) }
func (absent) Quiescent(abi.HookID, int) bool             { panic(absentText) }
func (absent) HookStats(abi.HookID, int, *abi.NetRXStats) { panic(absentText) }
func (absent) SendFrame([]byte)                           { panic(absentText) }
func (absent) Log([]byte)                                 { panic(absentText) }
