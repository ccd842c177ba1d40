package sim

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

// Record fills a window with traffic of a mix while the pipeline sleeps, as the
// tests of single stages want it.
func (k *Kernel) Record(mix Mix, w *telemetry.Window) {
	wakeAt := k.wakeAt
	k.wakeAt = 1 << 62
	var reader telemetry.Reader
	event := new(abi.NetRXEvent)
	for !w.Full() {
		k.Run(mix, 64)
		for !w.Full() && reader.Next(event) {
			w.Add(event)
		}
	}
	k.wakeAt = wakeAt
}

// Office is ordinary traffic of the simulated consumers (see Serve): web, name
// service, pings, and oddities that no program may touch.
func Office() Mix {
	return Mix{{40, Service(80)}, {30, Service(443)}, {20, Datagrams(53)}, {5, Ping}, {3, Odd}}
}

// With adds a kind of traffic to a mix.
func (m Mix) With(weight int, maker Maker) Mix {
	return append(append(Mix{}, m...), Share{weight, maker})
}

// Serve lets consumers listen: TCP 80 and 443, UDP 53.
func (k *Kernel) Serve() {
	for _, listen := range []Listen{{6, 80}, {6, 443}, {17, 53}} {
		k.Listens[listen] = true
	}
}
