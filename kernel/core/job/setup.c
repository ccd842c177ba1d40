// What happens before the first packet of a job: consumers, trace, phases and
// the program. Nothing here is part of a measured window.
#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "drivers/synth/synth.h"
#include "rt/services.h"

int32_t job_prepare(void)
{
	const struct job_view *view = &job.view;
	int32_t code = net_listen((const struct abi_listen *)(job.blob + view->listen_offset), view->listen_count);

	if (code == ABI_OK && view->trace_bytes != 0) {
		code = synth_load(job.blob + view->trace_offset, view->trace_bytes, cpu_count());
	}
	return code;
}

uint32_t job_phases(void)
{
	return job.view.phase_count != 0 ? job.view.phase_count : 1;
}

// A job without phases has one: every family alike, labels as in the trace.
struct abi_phase job_phase(uint32_t index)
{
	struct abi_phase phase = {.needed_mask = UINT32_MAX};

	if (index < job.view.phase_count) {
		memcpy(&phase, job.blob + job.view.phase_offset + index * sizeof phase, sizeof phase);
		return phase;
	}
	for (uint32_t family = 0; family < ABI_TRACE_FAMILY_MAX; family++) {
		phase.weights[family] = 1;
	}
	return phase;
}

// How many of the `left` packets of a job belong to this phase: as many as it
// says, and the last one takes the rest.
uint32_t job_phase_packets(uint32_t index, uint32_t left)
{
	uint32_t own = job_phase(index).packet_count;

	if (index + 1 >= job_phases() || own > left) {
		return left;
	}
	return own;
}

// Through analyze and verify onto all CPUs. No dry run: a measured job has no
// recorded window, and planted losers must be measurable.
int32_t job_install(const uint8_t *program, uint32_t bytes, uint32_t *version_index)
{
	const uint64_t arguments[6] = {(uintptr_t)program, bytes, 0, 0, 0, 0};
	uint64_t answer = 0;

	if (!job_ask(svc_install_job, SERVICE_PIPELINE, arguments, &answer)) {
		return ABI_ERR_PANIC;
	}
	*version_index = (uint32_t)(answer >> 32);
	return (int32_t)(uint32_t)answer;
}

static void (*on_net_rx_work)(uint32_t cpu);
static bool on_net_rx_masked;
static uint32_t on_net_rx_pending; // bit c: CPU c has still to run it

static bool on_net_rx_poll(uint32_t cpu, void *unused)
{
	uint32_t bit = 1u << cpu;
	uint64_t state = 0;

	(void)unused;
	if ((__atomic_load_n(&on_net_rx_pending, __ATOMIC_ACQUIRE) & bit) == 0) {
		return false;
	}
	if (on_net_rx_masked) {
		state = irq_save();
	}
	on_net_rx_work(cpu);
	if (on_net_rx_masked) {
		irq_restore(state);
	}
	__atomic_fetch_and(&on_net_rx_pending, ~bit, __ATOMIC_RELEASE);
	return true;
}

void job_on_net_rx(void (*work)(uint32_t cpu), bool masked)
{
	static bool attached;
	uint32_t all = (1u << cpu_count()) - 1;

	for (uint32_t cpu = 0; !attached && cpu < cpu_count(); cpu++) {
		if (net_attach_source(cpu, on_net_rx_poll, 0) != 0) {
			panic("job: no place for a source on CPU %u", cpu);
		}
	}
	attached = true;
	on_net_rx_work = work;
	on_net_rx_masked = masked;
	__atomic_store_n(&on_net_rx_pending, all, __ATOMIC_RELEASE);
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		net_rx_wake(cpu);
	}
	while (__atomic_load_n(&on_net_rx_pending, __ATOMIC_ACQUIRE) != 0) {
		thread_sleep_ns(JOB_POLL_NS);
	}
}
