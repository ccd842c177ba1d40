// What a guest is given before it starts, and the declaration of "ready".
//
// The initrd is one job (kernel/abi/job.go). svc_job validates it in Go and
// fills struct job_view; nothing here reads the blob before that. A guest
// without an initrd is a live guest without a trace.
#ifndef CORE_JOB_JOB_H
#define CORE_JOB_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

// Filled by svc_job when it returns 0 (abi.OK). Offsets count from the first
// byte of the blob and every part was checked to lie inside it. Plain
// integers in natural alignment, 112 bytes, so that Go mirrors it field by field.
struct job_view {
	uint64_t seed;
	uint8_t nonce[32];
	uint32_t kind;
	uint32_t flags;
	uint32_t program_offset;
	uint32_t program_bytes;
	uint32_t trace_offset; // of struct abi_trace_header
	uint32_t trace_bytes;  // 0 = no trace
	uint32_t listen_offset; // of struct abi_listen[listen_count]
	uint32_t listen_count;
	uint32_t phase_offset; // of struct abi_phase[phase_count]
	uint32_t phase_count;
	uint32_t packet_count;
	uint32_t interval_ns;
	uint32_t repeat;
	uint32_t reserved[5];
};
_Static_assert(sizeof(struct job_view) == 112, "Go mirrors this struct");

// Starts the job's thread: declares ready, then does what the initrd says.
// Called once on CPU 0 after all CPUs are online and drivers are up.
void job_start(void);

// TrafficRequest of a live guest. Returns an abi code.
int32_t job_traffic(const struct abi_traffic_request *request);

// Called by core/control: a frame for the services is there (a live guest that
// has put off its job now prepares it); a frame was answered (the first one is
// part of "ready").
void job_frame_arrived(void);
void job_frame_answered(void);

#endif
