// Command entry is the Go half of the kernel's image: the functions C calls
// (kernel/rt/services.h) and the static storage of the services behind them.
//
// It holds no logic. Each export rebuilds slices from pointer and length, hands
// them to an ordinary package that is tested on the host, and packs the answer.
// A bad length or pointer panics here, inside the caller's guard.
package main

import (
	"unsafe"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// main is empty: the image has no process, C calls the exports.
func main() {}

// view is the caller's memory as a slice. unsafe.Slice checks nil and overflow.
func view(bytes *byte, count uint64) []byte {
	if count == 0 {
		return nil
	}
	return unsafe.Slice(bytes, int(count))
}

// answer packs a code and a number for C: code low, number high.
func answer(code abi.Code, number uint32) uint64 {
	return uint64(uint32(code)) | uint64(number)<<32
}
