//go:build linux

package main

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// makeHello says what is talking and what it took to get here. Under the
// instruction count (measured), the counter since reset less the time the CPU
// slept is what was executed; on the host's clock it would mean nothing and is
// left unknown.
func makeHello(measured bool) abi.Hello {
	hello := abi.Hello{Version: abi.Version, Kind: abi.KernelLinux, CPUs: uint32(runtime.NumCPU()), BootNS: counterNS()}
	if measured {
		if idle, ok := idleNS(); ok && idle <= hello.BootNS {
			hello.BootInsnCPU0 = hello.BootNS - idle
			hello.BootInsnTotal = hello.BootInsnCPU0 // CPUs share one instruction stream
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		hello.MemoryBytes = uint64(info.Totalram) * uint64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		copy(hello.Release[:len(hello.Release)-1], "Linux "+unix.ByteSliceToString(name.Release[:]))
	}
	return hello
}

func sendHello(s *sender, hello abi.Hello) error {
	payload := make([]byte, abi.HelloBytes)
	hello.Put(payload)
	return s.send(abi.MessageHello, 0, payload)
}

// idleNS sums the sleep time of all CPUs from /proc/timer_list, the only place
// that shows it in nanoseconds.
func idleNS() (uint64, bool) {
	text, err := os.ReadFile("/proc/timer_list")
	if err != nil {
		return 0, false
	}
	var sum uint64
	found := false
	for _, line := range bytes.Split(text, []byte("\n")) {
		key, value, ok := strings.Cut(string(line), ":")
		if !ok || strings.TrimSpace(key) != ".idle_sleeptime" {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		ns, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return 0, false
		}
		sum += ns
		found = true
	}
	return sum, found
}
