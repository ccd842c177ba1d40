// Requests that concern machinery and not services.
#include "arch/arm64/arch.h"
#include "core/control/control.h"
#include "core/control/internal.h"
#include "core/hook/hook.h"
#include "core/job/job.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "core/trap/guard.h"
#include "rt/services.h"

enum {
	PING_BYTES_MAX = 64,
	TRACE_BATCH_EVENTS = 64, // 8 KiB per frame
	TRACE_POLL_NS = 1000000,
};

void control_reply_install(uint32_t sequence, int32_t code, const uint64_t values[4])
{
	struct abi_install_reply reply = {.code = code, .instruction = -1};

	if (values != 0) {
		memcpy(reply.values, values, sizeof reply.values);
	}
	control_send_message(ABI_MESSAGE_INSTALL_REPLY, sequence, &reply, sizeof reply);
}

void control_reply_error(uint32_t sequence, int32_t code, uint32_t offset)
{
	struct abi_error_reply reply = {.code = code, .offset = offset};

	control_send_message(ABI_MESSAGE_ERROR, sequence, &reply, sizeof reply);
}

static uint64_t pipeline_rounds(void)
{
	static const uint64_t arguments[6];
	uint64_t rounds = 0;

	if (!control_is_open()) {
		return 0; // the services have not begun
	}
	return guard_call(svc_pipeline_rounds, arguments, &rounds, SERVICE_CONTROL) == 0 ? rounds : 0;
}

static void handle_stats(const struct control_frame *frame)
{
	struct abi_stats stats = {.time_ns = arch_now_ns()};

	hook_stats(UINT32_MAX, &stats.net_rx);
	stats.service_panics = guard_contained_count();
	stats.resets = control_resets();
	stats.pipeline_rounds = pipeline_rounds();
	stats.spin_delay_ns_max = sched_delay_ns_max();
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		stats.idle_ns += sched_idle_ns(cpu);
	}
	stats.reserved[0] = control_dropped_frames();
	stats.reserved[1] = sched_delay_samples();
	control_send_message(ABI_MESSAGE_STATS_REPLY, frame->header.sequence, &stats, sizeof stats);
}

static void handle_traffic(const struct control_frame *frame)
{
	struct abi_traffic_request request;

	if (frame->header.length != sizeof request) {
		control_reply_error(frame->header.sequence, ABI_ERR_BAD_LENGTH, 0);
		return;
	}
	memcpy(&request, frame->payload, sizeof request);
	control_reply_install(frame->header.sequence, job_traffic(&request), 0);
}

// Streams the copies until the machine goes off. One thread, however often
// the host asks.
static void trace_thread(void *unused)
{
	static struct abi_net_rx_event events[TRACE_BATCH_EVENTS];

	(void)unused;
	for (;;) {
		uint32_t taken = hook_trace_take(events, TRACE_BATCH_EVENTS);

		if (taken != 0) {
			control_send_message(ABI_MESSAGE_EVENTS, 0, events, taken * (uint32_t)sizeof events[0]);
		}
		if (taken < TRACE_BATCH_EVENTS) {
			thread_sleep_ns(TRACE_POLL_NS);
		}
	}
}

static void handle_trace(void)
{
	static bool streaming;

	if (!streaming) {
		streaming = true;
		hook_trace_enable(true);
		if (thread_create("control.trace", trace_thread, 0, SCHED_PRIORITY_PIPELINE, 0, 0) == 0) {
			hook_trace_enable(false);
			streaming = false;
		}
	}
}

static _Noreturn void handle_power_off(const struct control_frame *frame)
{
	control_send_message(ABI_MESSAGE_PONG, frame->header.sequence, 0, 0);
	control_flush();
	log_line("power: off by request");
	psci_system_off();
}

static void handle_ping(const struct control_frame *frame)
{
	if (frame->header.length > PING_BYTES_MAX) {
		control_reply_error(frame->header.sequence, ABI_ERR_TOO_LARGE, PING_BYTES_MAX);
		return;
	}
	control_send_message(ABI_MESSAGE_PONG, frame->header.sequence, frame->payload, frame->header.length);
}

bool control_handle_early(const struct control_frame *frame)
{
	switch (frame->header.type) {
	case ABI_MESSAGE_PING:
		handle_ping(frame);
		return true;
	case ABI_MESSAGE_STATS:
		handle_stats(frame);
		return true;
	case ABI_MESSAGE_POWER_OFF:
		handle_power_off(frame);
	default:
		return false;
	}
}

bool control_handle(const struct control_frame *frame)
{
	switch (frame->header.type) {
	case ABI_MESSAGE_TRAFFIC:
		handle_traffic(frame);
		return true;
	case ABI_MESSAGE_PLANT:
		plant_handle(frame);
		return true;
	case ABI_MESSAGE_TRACE:
		handle_trace();
		return true;
	default:
		return false;
	}
}
