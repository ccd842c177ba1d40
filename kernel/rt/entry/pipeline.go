// Exports of the pipeline's thread, and the reset of every service.

package main

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/pipeline"
)

// services is all state behind the exports but the planted one.
var services pipeline.Pipeline

// Numbers of core/trap/guard.h, SERVICE_*.
const (
	serviceNetRX    = 1
	servicePipeline = 2
	serviceControl  = 3
)

//export svc_boot
func svcBoot(cpus, _, jobFlags, _, _, _ uint64) uint64 {
	services.Boot(int(cpus))
	services.SetSilent(jobFlags&abi.JobPipelineOn == 0)
	return answer(abi.OK, 0)
}

//export svc_pump
func svcPump(nowNS, _, _, _, _, _ uint64) uint64 {
	sleepNS := services.Pump(nowNS)
	// After the step and not before it: an armed panic leaves the pipeline's
	// state as far on as a panic can.
	return sleepNS + uint64(planted[0].table[astray.pump])
}

//export svc_pipeline_rounds
func svcPipelineRounds(_, _, _, _, _, _ uint64) uint64 { return services.Rounds() }

//export svc_install_job
func svcInstallJob(program *byte, bytes, _, _, _, _ uint64) uint64 {
	index, reply := services.InstallJob(view(program, bytes))
	return answer(reply.Code, uint32(index))
}

//export svc_attest
func svcAttest(index uint64, nonce *byte, events uint64, program, attestation *abi.Digest, _ uint64) uint64 {
	return answer(services.Attest(int(index), view(nonce, nonceBytes), events, program, attestation), 0)
}

const nonceBytes = 32 // of abi.JobHeader.Nonce

//export svc_reset
func svcReset(service, cpu, _, _, _, _ uint64) uint64 {
	switch service {
	case serviceNetRX:
		services.ResetCPU(int(cpu))
		giveBack(&pending.netRX[cpu], &astray.netRX[cpu])
	case servicePipeline:
		services.Reset()
		giveBack(&pending.pump, &astray.pump)
	case serviceControl:
		resetPlant(cpu)
	default:
		return answer(abi.ErrNotFound, 0)
	}
	return answer(abi.OK, 0)
}
