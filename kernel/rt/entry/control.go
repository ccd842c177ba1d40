package main

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
)

//export svc_control_scan
func svcControlScan(bytes *byte, count, _, _, _, _ uint64) uint64 {
	_, _, consumed, code := abi.ParseFrame(view(bytes, count))
	return answer(code, uint32(consumed))
}
