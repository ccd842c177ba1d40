// The virtual counter: instructions retired, when one instruction is one
// virtual nanosecond. counter_arm64.s reads it.

package main

import "math/bits"

func counter() (ticks, ticksPerSecond uint64)

// counterNS is virtual nanoseconds since reset.
func counterNS() uint64 {
	ticks, perSecond := counter()
	high, low := bits.Mul64(ticks, 1e9)
	ns, _ := bits.Div64(high, low, perSecond)
	return ns
}
