//go:build linux && !arm64

package main

import "golang.org/x/sys/unix"

// counterNS lets the agent compile, and its tests run, on other machines: time
// since boot.
func counterNS() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return uint64(now.Nano())
}
