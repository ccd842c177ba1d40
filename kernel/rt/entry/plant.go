// The fault on purpose: a real panic in a real service.

package main

import "github.com/kingly-os/go-kernel/kernel/abi"

// planted is state that only a reset clears, so that a suite can see that the
// service's state was given back and not merely that the kernel lived on.
var planted [abi.CPUMax]struct {
	marks uint32
	table [8]uint32
}

// svcPlant is the fault a suite asks for: it is real code that fails in a real
// way, an index the compiler cannot know.
//
//export svc_plant
func svcPlant(kind, argument, cpu, _, _, _ uint64) uint64 {
	if kind != abi.PlantServicePanic {
		return answer(abi.ErrUnsupported, 0)
	}
	state := &planted[cpu]
	state.marks++
	// len(table) and above panics; below, the call returns and says what it read.
	return answer(abi.OK, state.table[argument])
}

//export svc_plant_marks
func svcPlantMarks(cpu, _, _, _, _, _ uint64) uint64 { return uint64(planted[cpu].marks) }

func resetPlant(cpu uint64) { planted[cpu].marks = 0 }
