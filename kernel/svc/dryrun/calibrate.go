package dryrun

import "github.com/kingly-os/go-kernel/kernel/abi"

// calibrate fits the model to the window: first the cost per step
// from packets the running program dropped (nothing else happens to them), then
// the default path's cost per outcome with the program's share taken off.
func (j *Judge) calibrate() {
	j.calibrateSteps()
	j.calibratePaths()
}

func (j *Judge) calibrateSteps() {
	if j.running == nil {
		return
	}
	var rough, samples fit
	for i := 0; i < j.window.Count; i++ {
		if event := &j.window.Events[i]; j.onlyDropped(event) {
			rough.add(int64(j.steps[i]), int64(event.CostInsn))
		}
	}
	for i := 0; i < j.window.Count; i++ {
		event := &j.window.Events[i]
		if j.onlyDropped(event) && int64(event.CostInsn)*rough.n <= outlierFactor*rough.sumY {
			samples.add(int64(j.steps[i]), int64(event.CostInsn))
		}
	}
	if samples.n < dropSamplesMin {
		return
	}
	m := j.model
	if slope, told := samples.slopeQ8(); told && slope >= stepInsnQ8Min && slope <= stepInsnQ8Max {
		m.StepInsnQ8 = uint64(slope)
	}
	// What is left is the call and the rest of a dropped packet's way; the
	// split between the two does not matter to a drop.
	rest := samples.sumY/samples.n - int64(m.StepInsnQ8)*samples.sumX/samples.n>>8
	if rest > int64(m.EntryInsn) {
		m.DropInsn = uint64(rest) - m.EntryInsn
	}
}

// onlyDropped says that nothing happened to a packet but the program's drop.
func (j *Judge) onlyDropped(event *abi.NetRXEvent) bool {
	return j.ran(event) && event.Action == abi.NetRXDrop && event.Flags&abi.EventAudited == 0
}

// ran says whether the running program decided this event without an error.
func (j *Judge) ran(event *abi.NetRXEvent) bool {
	return event.Flags&abi.EventProgramRan != 0 && event.Flags&abi.EventError == 0 &&
		event.SlotVersion == j.runningVersion
}

// calibratePaths fits twice: the second time without samples far above the
// mean of the first. An interrupt inside a path is not the path, and one in a
// thousand would move a mean by a tenth.
func (j *Judge) calibratePaths() {
	var rough, fine [abi.OutcomeCount]fit
	for i := 0; i < j.window.Count; i++ {
		if outcome, cost, told := j.pathSample(i); told {
			rough[outcome].add(int64(j.window.Events[i].PacketBytes), cost)
		}
	}
	for i := 0; i < j.window.Count; i++ {
		outcome, cost, told := j.pathSample(i)
		if told && cost*rough[outcome].n <= outlierFactor*rough[outcome].sumY {
			fine[outcome].add(int64(j.window.Events[i].PacketBytes), cost)
		}
	}
	for o := range fine {
		if fine[o].n >= samplesMin {
			j.model.paths[o] = fine[o].line()
		}
	}
}

// outlierFactor times the mean is too much for one packet of the same outcome:
// length explains a factor of about three.
const outlierFactor = 4

// pathSample is what event i says about the default path's cost, the running
// program's share taken off; false where it says nothing.
func (j *Judge) pathSample(i int) (outcome abi.Outcome, cost int64, told bool) {
	event := &j.window.Events[i]
	outcome, cost = event.Outcome, int64(event.CostInsn)
	if outcome == abi.OutcomeUnknown || outcome >= abi.OutcomeCount || event.Flags&abi.EventError != 0 {
		return 0, 0, false
	}
	if event.Flags&abi.EventProgramRan == 0 {
		return outcome, cost, true
	}
	if j.running == nil || !j.ran(event) {
		return 0, 0, false // another version decided: its steps are not known
	}
	return outcome, max(cost-int64(j.model.Program(uint32(j.steps[i]))), 0), true
}
