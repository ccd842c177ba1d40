package dryrun

import "github.com/kingly-os/go-kernel/kernel/abi"

// calibrate fits the model to the window: first the cost per interpreter step
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
	var samples fit
	for i := 0; i < j.window.Count; i++ {
		event := &j.window.Events[i]
		if j.ran(event) && event.Action == abi.NetRXDrop && event.Flags&abi.EventAudited == 0 {
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

// ran says whether the running program decided this event without an error.
func (j *Judge) ran(event *abi.NetRXEvent) bool {
	return event.Flags&abi.EventProgramRan != 0 && event.Flags&abi.EventError == 0 &&
		event.SlotVersion == j.runningVersion
}

func (j *Judge) calibratePaths() {
	var samples [abi.OutcomeCount]fit
	for i := 0; i < j.window.Count; i++ {
		event := &j.window.Events[i]
		outcome := event.Outcome
		if outcome == abi.OutcomeUnknown || outcome >= abi.OutcomeCount || event.Flags&abi.EventError != 0 {
			continue
		}
		cost := int64(event.CostInsn)
		switch {
		case event.Flags&abi.EventProgramRan == 0:
		case j.running != nil && j.ran(event):
			cost -= int64(j.model.Program(uint32(j.steps[i])))
		default:
			continue // another version decided: its steps are not known
		}
		samples[outcome].add(int64(event.PacketBytes), max(cost, 0))
	}
	for o := range samples {
		if samples[o].n >= samplesMin {
			j.model.paths[o] = samples[o].line()
		}
	}
}
