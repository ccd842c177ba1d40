//go:build tinygo

package rt

import "github.com/kingly-os/go-kernel/kernel/abi"

// The imports (imports.h). C keeps no address beyond its call, which is what
// go:noescape promises; without it TinyGo would move the variable behind the
// pointer to the heap, and there is none.

//export rt_now_ns
func importNowNS() uint64

//export rt_instructions
func importInstructions() uint64

//export rt_cpus
func importCPUs() uint64

//go:noescape
//export rt_ring_read
func importRingRead(cpu uint64, event *abi.NetRXEvent) uint64

//export rt_ring_lost
func importRingLost(cpu uint64) uint64

//go:noescape
//export rt_load_code
func importLoadCode(hook, index uint64, code *byte, count uint64) uint64

//export rt_publish
func importPublish(hook, index, version, cpuMask uint64)

//export rt_quiescent
func importQuiescent(hook, index uint64) uint64

//go:noescape
//export rt_hook_stats
func importHookStats(hook, cpu uint64, stats *abi.NetRXStats)

//go:noescape
//export rt_send_frame
func importSendFrame(bytes *byte, count uint64)

//go:noescape
//export rt_log
func importLog(bytes *byte, count uint64)

func NowNS() uint64 { return importNowNS() }

func Instructions() uint64 { return importInstructions() }

func CPUs() int { return int(importCPUs()) }

func RingRead(cpu int, event *abi.NetRXEvent) bool {
	return importRingRead(uint64(cpu), event) != 0
}

func RingLost(cpu int) uint64 { return importRingLost(uint64(cpu)) }

func LoadCode(hook abi.HookID, index int, code []byte) bool {
	var first *byte
	if len(code) != 0 {
		first = &code[0]
	}
	return importLoadCode(uint64(hook), uint64(index), first, uint64(len(code))) != 0
}

func Publish(hook abi.HookID, index int, version uint32, cpuMask uint32) {
	importPublish(uint64(hook), uint64(index), uint64(version), uint64(cpuMask))
}

func Quiescent(hook abi.HookID, index int) bool {
	return importQuiescent(uint64(hook), uint64(index)) != 0
}

func HookStats(hook abi.HookID, cpu int, stats *abi.NetRXStats) {
	importHookStats(uint64(hook), uint64(cpu), stats)
}

func SendFrame(frame []byte) {
	if len(frame) != 0 {
		importSendFrame(&frame[0], uint64(len(frame)))
	}
}

func Log(line []byte) {
	if len(line) != 0 {
		importLog(&line[0], uint64(len(line)))
	}
}
