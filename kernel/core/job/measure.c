// JobMeasure: offers the job's packets and counts what the path costs.
//
// The window is the packet loop of each CPU's net.rx thread with interrupts
// masked, and the figure is the sum over packets of the instructions from
// hand-over to the end of the path (net_path_insn). Drawing packets and
// keeping the books is the source's business and outside it. So nothing that
// happens in host time can be in the figure, and two runs agree exactly.
#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "drivers/synth/synth.h"
#include "rt/services.h"

static uint32_t interval_ns;

// All packets of this CPU. With an interval the CPU waits, outside the path,
// until the next is due.
static void offer_all(uint32_t cpu)
{
	uint64_t due_ns = arch_now_ns() + interval_ns;

	while (synth_offer(cpu)) {
		while (interval_ns != 0 && arch_now_ns() < due_ns) {
		}
		due_ns += interval_ns;
	}
}

static int32_t run_phase(uint32_t index, uint32_t packets)
{
	struct abi_phase phase = job_phase(index);
	bool masked = (job.view.flags & ABI_JOB_PIPELINE_ON) == 0;
	int32_t code;

	if (packets == 0) {
		return ABI_OK;
	}
	net_set_phase(index);
	code = synth_arm(&phase, job.view.seed + index, packets, interval_ns);
	if (code != ABI_OK) {
		return code;
	}
	job_on_net_rx(offer_all, masked);
	while (!synth_idle()) { // steered packets
		thread_sleep_ns(JOB_POLL_NS);
	}
	return ABI_OK;
}

static void attest(struct abi_report *report, uint32_t version_index)
{
	const uint64_t arguments[6] = {version_index,
				       (uintptr_t)job.view.nonce,
				       report->events_handled,
				       (uintptr_t)report->program,
				       (uintptr_t)report->attestation,
				       0};
	uint64_t answer = ABI_ERR_PANIC;

	if (!job_ask(svc_attest, SERVICE_PIPELINE, arguments, &answer) || (uint32_t)answer != ABI_OK) {
		report->code = (int32_t)(uint32_t)answer;
	}
}

// Version 0 is the built-in default: there is no program to attest.
void job_fill_report(struct abi_report *report, uint32_t version_index)
{
	struct abi_net_rx_stats stats;
	struct synth_totals totals;

	hook_stats(UINT32_MAX, &stats);
	synth_total(&totals);
	report->offered = totals.offered;
	report->needed_offered = totals.needed_offered;
	report->needed_delivered = totals.needed_delivered;
	report->needed_changed = totals.needed_changed;
	report->junk_offered = totals.junk_offered;
	report->junk_delivered = totals.junk_delivered;
	report->signal_wanted = totals.signal_wanted;
	report->signal_agrees = totals.signal_agrees;
	report->insn_total = net_path_insn(UINT32_MAX);
	report->events_handled = stats.offered;
	report->slot_version = stats.slot_version;
	report->reserved[0] = totals.signal_known;
	report->reserved[1] = stats.swaps_duplicated;
	report->reserved[2] = stats.errors;
	report->reserved[3] = totals.replies;
	report->reserved[4] = stats.audited;
	if (version_index != 0) {
		attest(report, version_index);
	}
}

void job_measure(struct abi_report *report)
{
	bool floor = (job.view.flags & ABI_JOB_HOOK_BYPASSED) != 0;
	bool program = !floor && (job.view.flags & ABI_JOB_DEFAULT_POLICY) == 0;
	uint32_t version_index = 0, left = job.view.packet_count;

	interval_ns = job.view.interval_ns;
	if (program) {
		report->code = job_install(job.blob + job.view.program_offset, job.view.program_bytes, &version_index);
		if (report->code != ABI_OK) {
			return;
		}
	}
	hook_reset_counters();
	net_reset_counters();
	synth_reset();
	if (job.view.flags & ABI_JOB_PIPELINE_ON) {
		job_start_pipeline();
	}
	net_set_bypass(floor);
	synth_set_floor(floor);
	for (uint32_t phase = 0; phase < job_phases() && report->code == ABI_OK; phase++) {
		uint32_t packets = job_phase_packets(phase, left);

		report->code = run_phase(phase, packets);
		left -= packets;
	}
	if (report->code == ABI_OK) {
		job_fill_report(report, version_index);
	}
}
