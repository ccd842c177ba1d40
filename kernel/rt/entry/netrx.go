// The export on the packet path.

package main

import "github.com/kingly-os/go-kernel/kernel/abi"

// netRXError is SVC_NET_RX_ERROR of services.h.
const netRXError = 1 << 31

// svcNetRX is the hot path: one call per packet, on every CPU at once.
//
//export svc_net_rx
func svcNetRX(cpu, index uint64, context *abi.NetRXContext, packet *byte, bytes, _ uint64) uint64 {
	action, code := services.Decide(int(cpu)+int(astray.netRX[cpu]), uint32(index), context, view(packet, bytes))
	if code != abi.OK {
		return netRXError | abi.NetRXAborted
	}
	return uint64(action)
}
