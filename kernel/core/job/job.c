// The job's thread: ready, the initrd, and then what the job's kind says.
#include "core/job/job.h"

#include "arch/arm64/arch.h"
#include "board/qemuvirt/board.h"
#include "core/control/control.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "drivers/synth/synth.h"
#include "rt/services.h"

struct job job;
static bool prepared; // consumers and trace of a live guest are there

// An abi code; ABI_OK with job.present false when there is no initrd.
static int32_t find_job(void)
{
	uint64_t arguments[6] = {0, board.initrd_bytes, (uintptr_t)&job.view, 0, 0, 0};
	uint64_t answer = 0;

	if (board.initrd_bytes == 0) {
		return ABI_OK;
	}
	job.blob = phys_to_virt(board.initrd_physical);
	arguments[0] = (uintptr_t)job.blob;
	if (!job_ask(svc_job, SERVICE_CONTROL, arguments, &answer)) {
		return ABI_ERR_PANIC;
	}
	job.present = (uint32_t)answer == ABI_OK;
	return (int32_t)(uint32_t)answer;
}

// Whether the initrd, not yet checked, says that the guest is live. The answer
// decides only when the check happens.
static bool looks_live(void)
{
	const uint8_t *blob = phys_to_virt(board.initrd_physical);
	uint32_t kind;

	if (board.initrd_bytes < ABI_JOB_HEADER_BYTES) {
		return board.initrd_bytes == 0;
	}
	memcpy(&kind, blob + offsetof(struct abi_job_header, kind), sizeof kind);
	return kind == ABI_JOB_LIVE;
}

int32_t job_traffic(const struct abi_traffic_request *request)
{
	uint32_t interval_ns = request->interval_ns;
	struct abi_phase phase;
	int32_t code;

	if (job.view.kind != ABI_JOB_LIVE) {
		return ABI_ERR_UNSUPPORTED;
	}
	if (request->packet_count == 0) {
		synth_stop();
		return ABI_OK;
	}
	while (!load_acquire(&prepared)) { // the trace is still being indexed
		thread_sleep_ns(JOB_POLL_NS);
	}
	if (!synth_loaded() || request->phase >= job_phases()) {
		return ABI_ERR_NOT_FOUND;
	}
	if (!synth_idle()) {
		return ABI_ERR_BUSY;
	}
	if (interval_ns == 0) {
		interval_ns = JOB_INTERVAL_NS_DEFAULT;
	}
	phase = job_phase(request->phase);
	net_set_phase(request->phase);
	code = synth_arm(&phase, request->seed, request->packet_count, interval_ns);
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		net_rx_wake(cpu);
	}
	return code;
}

static void attach_source(void)
{
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		if (net_attach_source(cpu, synth_poll, 0) != 0) {
			panic("job: no place for the source on CPU %u", cpu);
		}
	}
}

static void log_report(const struct abi_report *r)
{
	log_line("report: kind=%u code=%d offered=%llu needed=%llu delivered=%llu "
		 "changed=%llu junk=%llu junk_delivered=%llu insn=%llu empty=%llu events=%llu "
		 "version=%u cpus=%u wanted=%llu agrees=%llu boot=%llu",
		 r->kind, r->code, (unsigned long long)r->offered, (unsigned long long)r->needed_offered,
		 (unsigned long long)r->needed_delivered, (unsigned long long)r->needed_changed,
		 (unsigned long long)r->junk_offered, (unsigned long long)r->junk_delivered,
		 (unsigned long long)r->insn_total, (unsigned long long)r->insn_empty,
		 (unsigned long long)r->events_handled, r->slot_version, r->cpus, (unsigned long long)r->signal_wanted,
		 (unsigned long long)r->signal_agrees, (unsigned long long)r->boot_insn);
	log_line("detail: known=%llu doubled=%llu errors=%llu replies=%llu audited=%llu",
		 (unsigned long long)r->reserved[0], (unsigned long long)r->reserved[1],
		 (unsigned long long)r->reserved[2], (unsigned long long)r->reserved[3],
		 (unsigned long long)r->reserved[4]);
}

static _Noreturn void finish(const struct abi_report *report)
{
	log_report(report);
	control_send_message(ABI_MESSAGE_REPORT, 0, report, sizeof *report);
	control_flush();
	psci_system_off();
}

static void run_live(void)
{
	attach_source();
	store_release(&prepared, true);
	job_start_pipeline();
}

// Kinds that end in a report.
static _Noreturn void run_to_report(int32_t code)
{
	struct abi_report report = {
		.code = code,
		.kind = job.view.kind,
		.cpus = cpu_count(),
		.boot_insn = job_boot_insn(),
	};

	if (code != ABI_OK) {
		finish(&report);
	}
	switch (job.view.kind) {
	case ABI_JOB_MEASURE:
		job_measure(&report);
		break;
	case ABI_JOB_BENCH:
		job_bench(&report);
		break;
	default:
		attach_source();
		control_open();
		job_autonomous(&report);
		break;
	}
	finish(&report);
}

static void job_thread(void *unused)
{
	int32_t code;

	(void)unused;
	control_start();
	net_start();
	job_declare_ready();
	net_start_threads();
	// Checking and indexing a job costs several times what booting costs. A
	// live guest needs it when the host first asks for something.
	if (looks_live()) {
		job_wait_first_frame();
	}
	code = find_job();
	if (code != ABI_OK) {
		log_line("job: the initrd is refused, code %d", code);
		run_to_report(code);
	}
	job_boot_services();
	if (job.view.kind == ABI_JOB_LIVE) {
		control_open(); // answers while the trace is being indexed
	}
	code = job.present ? job_prepare() : ABI_OK;
	if (code != ABI_OK) {
		log_line("job: set-up fails, code %d", code);
	}
	if (job.view.kind != ABI_JOB_LIVE) {
		run_to_report(code);
	}
	run_live();
}

void job_start(void)
{
	if (thread_create("job", job_thread, 0, SCHED_PRIORITY_CONTROL, 0, 0) == 0) {
		panic("job: no thread");
	}
}
