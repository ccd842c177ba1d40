// Shared by the files of core/job only.
#ifndef CORE_JOB_INTERNAL_H
#define CORE_JOB_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"
#include "core/job/job.h"
#include "core/trap/guard.h"

enum {
	JOB_POLL_NS = 1000000,
	// Between packets of one CPU where a job with the pipeline on names none:
	// the path costs some 2 us, so the pipeline gets most of the CPU.
	JOB_INTERVAL_NS_DEFAULT = 20000,
};

// The whole job: the view and where the blob lies.
struct job {
	struct job_view view;
	const uint8_t *blob;
	bool present;
};

extern struct job job;

// ready.c: first packet, Hello, and the line on the console.
void job_declare_ready(void);
void job_wait_first_frame(void);
uint64_t job_boot_insn(void);

// pipeline.c
void job_boot_services(void);
void job_start_pipeline(void);
bool job_ask(guard_function function, unsigned service, const uint64_t arguments[6], uint64_t *answer);

// setup.c: everything before the first packet. Phase `index` of the job, or
// the default one where the job has none.
int32_t job_prepare(void);
struct abi_phase job_phase(uint32_t index);
uint32_t job_phase_packets(uint32_t index, uint32_t left);
uint32_t job_phases(void);
int32_t job_install(const uint8_t *program, uint32_t bytes, uint32_t *version_index);

// measure.c, bench.c, autonomous.c: run one kind and fill the report.
void job_measure(struct abi_report *report);
void job_bench(struct abi_report *report);
void job_autonomous(struct abi_report *report);
void job_fill_report(struct abi_report *report, uint32_t version_index);

// Runs `work` once on the net.rx thread of every CPU with interrupts as the
// caller wants them, and waits until all are done.
void job_on_net_rx(void (*work)(uint32_t cpu), bool masked);

#endif
