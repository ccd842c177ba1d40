// What C calls: the exports of the Go services (kernel/rt/entry).
//
// All but go_init have the shape of guard_function, so that a table of
// arguments and guard_call are all a caller needs; addresses travel as
// integers and are not kept. Everything except go_init is to be called inside
// guard_call, on a thread, with the service number beside it.
//
// Answers that carry an abi code carry it in their low 32 bits.
#ifndef KERNEL_RT_SERVICES_H
#define KERNEL_RT_SERVICES_H

#include <stdint.h>

// Once, on CPU 0, outside any guard and before every other function.
void go_init(void);

// Set in the answer of svc_net_rx when the program failed; the low bits then
// hold ABI_NET_RX_ABORTED.
#define SVC_NET_RX_ERROR 0x80000000u

// net_rx (SERVICE_NET_RX). cpu, slot index, struct abi_net_rx_context *,
// packet bytes, their count. Answers an ABI_NET_RX_* action.
uint64_t svc_net_rx(uint64_t cpu, uint64_t version_index, uint64_t context, uint64_t packet, uint64_t bytes,
		    uint64_t unused);

// pipeline (SERVICE_PIPELINE), all on the pipeline's thread.
// CPUs online, kind and flags of the job (abi.Job*): without JobPipelineOn the
// kernel proposes nothing itself, programs of the host go the whole way all the
// same. Once, before every other svc_ function but svc_job and svc_control_scan.
uint64_t svc_boot(uint64_t cpus, uint64_t job_kind, uint64_t job_flags, uint64_t unused3, uint64_t unused4,
		  uint64_t unused5);
// Windows judged so far.
uint64_t svc_pipeline_rounds(uint64_t unused0, uint64_t unused1, uint64_t unused2, uint64_t unused3, uint64_t unused4,
			     uint64_t unused5);
// Virtual now. One bounded step; answers how many nanoseconds to sleep, 0 to
// be called again at once.
uint64_t svc_pump(uint64_t now_ns, uint64_t unused1, uint64_t unused2, uint64_t unused3, uint64_t unused4,
		  uint64_t unused5);
// Program in wire format and its bytes, of a measured job: through analyze and
// verify onto all CPUs, at once, before the first packet; the lab is the judge.
// Answers a code, and the slot index in the upper 32 bits.
uint64_t svc_install_job(uint64_t program, uint64_t bytes, uint64_t unused2, uint64_t unused3, uint64_t unused4,
			 uint64_t unused5);
// Slot index, 32-byte nonce, events handled, uint8_t program[32], uint8_t
// attestation[32]. Answers a code; hashes the program in place.
uint64_t svc_attest(uint64_t version_index, uint64_t nonce, uint64_t events, uint64_t program, uint64_t attestation,
		    uint64_t unused5);

// control (SERVICE_CONTROL), on the control thread.
// Looks at the start of a byte stream. Answers a code, and in the upper 32 bits
// how many bytes to take off its front. ABI_OK: those bytes are one whole
// frame. ABI_ERR_TRUNCATED: none, more bytes are needed. Others: no frame, drop
// them (ABI_ERR_CHECKSUM: a whole frame is dropped and deserves a MessageError).
uint64_t svc_control_scan(uint64_t bytes, uint64_t count, uint64_t unused2, uint64_t unused3, uint64_t unused4,
			  uint64_t unused5);
// One whole frame, as svc_control_scan found it; answers by rt_send_frame,
// now or, for what the pipeline must do, from svc_pump. Answers a code.
uint64_t svc_control(uint64_t frame, uint64_t bytes, uint64_t unused2, uint64_t unused3, uint64_t unused4,
		     uint64_t unused5);
// Blob, its bytes, struct job_view *. Answers a code; the view is filled only
// with ABI_OK.
uint64_t svc_job(uint64_t blob, uint64_t bytes, uint64_t view, uint64_t unused3, uint64_t unused4, uint64_t unused5);

// After a contained panic: gives the service (SERVICE_*) its first state back.
// On the thread that ran the service.
uint64_t svc_reset(uint64_t service, uint64_t cpu, uint64_t unused2, uint64_t unused3, uint64_t unused4,
		   uint64_t unused5);
// ABI_PLANT_SERVICE_PANIC: changes the service's state, then runs into an
// out-of-bounds index made from `argument`. ABI_PLANT_NET_RX_PANIC and
// ABI_PLANT_PUMP_PANIC: the next `argument` calls of svc_net_rx on that CPU, or of
// svc_pump, do, and this call returns. svc_plant_marks answers how many such changes a CPU's state holds: 0
// after svc_reset.
uint64_t svc_plant(uint64_t kind, uint64_t argument, uint64_t cpu, uint64_t unused3, uint64_t unused4,
		   uint64_t unused5);
uint64_t svc_plant_marks(uint64_t cpu, uint64_t unused1, uint64_t unused2, uint64_t unused3, uint64_t unused4,
			 uint64_t unused5);

#endif
