// Faults on purpose: real panics in real services.

package main

import "github.com/kingly-os/go-kernel/kernel/abi"

// planted is state that only a reset clears, so that a suite can see that the
// service's state was given back and not merely that the kernel lived on.
var planted [abi.CPUMax]struct {
	marks uint32
	table [8]uint32
}

// astray is added to an index where a service uses one: 0, or astrayBy while
// the service is armed. It is state of the service that only its reset gives
// back, so a reset that does nothing shows as a panic that never ends.
// One word for each CPU's packet path, one for the pipeline.
var astray struct {
	netRX [abi.CPUMax]uint32
	pump  uint32
}

// pending counts the panics that are still wanted; who resets the service
// counts them down.
var pending struct {
	netRX [abi.CPUMax]uint32
	pump  uint32
}

// astrayBy is far outside every table of a service.
const astrayBy = 1000

// svcPlant makes or arms the fault a suite asks for: real code that fails in a
// real way, an index the compiler cannot know.
//
//export svc_plant
func svcPlant(kind, argument, cpu, _, _, _ uint64) uint64 {
	switch kind {
	case abi.PlantServicePanic:
		state := &planted[cpu]
		state.marks++
		// len(table) and above panics; below, the call returns and says what it read.
		return answer(abi.OK, state.table[argument])
	case abi.PlantNetRXPanic: // the count first: the service may run at once
		pending.netRX[cpu] = uint32(argument)
		astray.netRX[cpu] = astrayBy
	case abi.PlantPumpPanic:
		pending.pump = uint32(argument)
		astray.pump = astrayBy
	default:
		return answer(abi.ErrUnsupported, 0)
	}
	return answer(abi.OK, 0)
}

// giveBack ends one armed panic: the service's index is right again, unless
// more panics are wanted.
func giveBack(left, index *uint32) {
	if *left > 0 {
		*left--
	}
	if *left == 0 {
		*index = 0
	}
}

//export svc_plant_marks
func svcPlantMarks(cpu, _, _, _, _, _ uint64) uint64 { return uint64(planted[cpu].marks) }

func resetPlant(cpu uint64) { planted[cpu].marks = 0 }
