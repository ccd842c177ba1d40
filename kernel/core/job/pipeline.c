// The pipeline's thread: calls svc_pump, one bounded step at a time, and sleeps
// as long as it asks for. A step that panics was contained and its service
// reset; the thread goes on.
#include "arch/arm64/arch.h"
#include "core/job/internal.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "rt/services.h"

enum {
	AFTER_PANIC_NS = 1000000,
	SLEEP_NS_MAX = 100000000, // a service that asks for more is asked again
};

bool job_ask(guard_function function, unsigned service, const uint64_t arguments[6], uint64_t *answer)
{
	return guard_call(function, arguments, answer, service) == 0;
}

// Once, before any other pipeline function, on whichever thread comes first:
// the job's own for measured kinds, which have no pipeline thread.
void job_boot_services(void)
{
	uint32_t flags = job.view.flags;
	uint64_t answer;

	if (job.view.kind == ABI_JOB_AUTONOMOUS && !(flags & ABI_JOB_DEFAULT_POLICY)) {
		flags |= ABI_JOB_PIPELINE_ON;
	}
	const uint64_t arguments[6] = {cpu_count(), job.view.kind, flags, 0, 0, 0};

	if (!job_ask(svc_boot, SERVICE_PIPELINE, arguments, &answer)) {
		panic("job: the pipeline does not start");
	}
}

static void pipeline_thread(void *unused)
{
	(void)unused;
	for (;;) {
		const uint64_t arguments[6] = {arch_now_ns(), 0, 0, 0, 0, 0};
		uint64_t sleep_ns = 0;

		if (!job_ask(svc_pump, SERVICE_PIPELINE, arguments, &sleep_ns)) {
			sleep_ns = AFTER_PANIC_NS;
		}
		if (sleep_ns == 0) {
			thread_yield();
			continue;
		}
		thread_sleep_ns(sleep_ns < SLEEP_NS_MAX ? sleep_ns : SLEEP_NS_MAX);
	}
}

void job_start_pipeline(void)
{
	if (thread_create("pipeline", pipeline_thread, 0, SCHED_PRIORITY_PIPELINE, 0, 0) == 0) {
		panic("job: no thread for the pipeline");
	}
}
