// JobAutonomous: the loop closes inside. Phases follow one another, consumers
// come and go with them, the pipeline watches, proposes, installs and takes
// back. No host and no user space has a part in it; records are only streamed.
#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/log/log.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "drivers/synth/synth.h"

enum { SETTLE_NS = 50000000 }; // for the monitor's last word

static int32_t run_phase(uint32_t index, uint32_t packets, uint32_t interval_ns)
{
	struct abi_phase phase = job_phase(index);
	int32_t code;

	net_set_phase(index);
	code = synth_arm(&phase, job.view.seed + index, packets, interval_ns);
	if (code != ABI_OK) {
		return code;
	}
	log_line("phase: %u packets=%u interval_ns=%u", index, packets, interval_ns);
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		net_rx_wake(cpu);
	}
	while (!synth_idle()) {
		thread_sleep_ns(JOB_POLL_NS);
	}
	return ABI_OK;
}

void job_autonomous(struct abi_report *report)
{
	uint32_t interval_ns = job.view.interval_ns, left = job.view.packet_count;
	uint32_t version;

	if (interval_ns == 0) {
		interval_ns = JOB_INTERVAL_NS_DEFAULT;
	}
	hook_reset_counters();
	net_reset_counters();
	synth_reset();
	job_start_pipeline();
	for (uint32_t phase = 0; phase < job_phases() && report->code == ABI_OK; phase++) {
		uint32_t packets =
			job.view.packet_count != 0 ? job_phase_packets(phase, left) : job_phase(phase).packet_count;

		if (packets != 0) {
			report->code = run_phase(phase, packets, interval_ns);
		}
		left -= packets; // unused where the job names no total
	}
	thread_sleep_ns(SETTLE_NS);
	if (report->code == ABI_OK) {
		job_fill_report(report, 0);
		hook_current(0, &version);
		report->slot_version = version;
	}
}
