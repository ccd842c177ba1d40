// Exercises of the scheduler. Waiting is always on an event or with a limit in
// virtual time, so that a failure is reported and not hung.

#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/arch.h"
#include "core/exercise/exercise.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"

#define PATIENCE_NS 20000000000ull
#define SPINNERS 3
#define ROUNDS 500

struct spinner {
	uint64_t turns;
	bool stop;
	struct event done;
};

static void spin(void *argument)
{
	struct spinner *spinner = argument;

	while (!load_acquire(&spinner->stop)) {
		store_release(&spinner->turns, spinner->turns + 1);
	}
	event_signal(&spinner->done);
}

static unsigned last_cpu(void)
{
	return cpu_count() - 1;
}

static const char *stop(struct spinner *spinners, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		store_release(&spinners[i].stop, true);
	}
	for (unsigned i = 0; i < count; i++) {
		if (!event_wait_timeout(&spinners[i].done, PATIENCE_NS)) {
			return "a spinning thread never ended";
		}
	}
	return NULL;
}

static void turns(struct spinner *spinners, uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (unsigned i = 0; i < SPINNERS; i++) {
		uint64_t count = load_acquire(&spinners[i].turns);
		*least = count < *least ? count : *least;
		*most = count > *most ? count : *most;
	}
}

// Threads of one priority that never give up the CPU share it.
const char *exercise_slices(void)
{
	static struct spinner spinners[SPINNERS];

	for (unsigned i = 0; i < SPINNERS; i++) {
		spinners[i] = (struct spinner){.done = EVENT_INITIAL};
		if (thread_create("slice", spin, &spinners[i], SCHED_PRIORITY_LOW, (int)last_cpu(), 0) == NULL) {
			return "no thread left";
		}
	}
	// Under a busy host virtual time runs on without the guest; so wait for
	// the turns, and compare them only where the clock is the guest's own.
	uint64_t limit_ns = arch_now_ns() + PATIENCE_NS;
	uint64_t least, most;
	do {
		thread_sleep_ns(30 * SCHED_SLICE_NS);
		turns(spinners, &least, &most);
	} while (least == 0 && arch_now_ns() < limit_ns);
	const char *wrong = stop(spinners, SPINNERS);
	if (wrong != NULL) {
		return wrong;
	}
	if (least == 0) {
		return "a thread never got a slice";
	}
	return arch_counts_exactly() && most > 4 * least ? "the slices are far from equal" : NULL;
}

struct pair {
	struct event there, back;
	uint32_t rounds;
};

static void answer(void *argument)
{
	struct pair *pair = argument;

	for (;;) {
		event_wait(&pair->there);
		uint32_t rounds = pair->rounds + 1;
		store_release(&pair->rounds, rounds);
		event_signal(&pair->back);
		if (rounds >= ROUNDS) {
			return;
		}
	}
}

static const char *play(struct pair *pair, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		event_signal(&pair->there);
		if (!event_wait_timeout(&pair->back, PATIENCE_NS)) {
			return "an event was lost";
		}
		if (load_acquire(&pair->rounds) != i + 1) {
			return "an event came twice";
		}
	}
	return NULL;
}

// A woken thread of high priority takes a CPU from one that spins, there and
// then, and the delay is recorded.
const char *exercise_preempt(void)
{
	static struct spinner spinner;
	static struct pair pair;
	uint64_t samples = sched_delay_samples();

	spinner = (struct spinner){.done = EVENT_INITIAL};
	pair = (struct pair){EVENT_INITIAL, EVENT_INITIAL, 0};
	thread_create("spin", spin, &spinner, SCHED_PRIORITY_LOW, (int)last_cpu(), 0);
	thread_create("answer", answer, &pair, SCHED_PRIORITY_NET_RX, (int)last_cpu(), 0);
	thread_sleep_ns(SCHED_SLICE_NS);
	const char *wrong = play(&pair, ROUNDS);
	const char *stopped = stop(&spinner, 1);
	if (wrong != NULL || stopped != NULL) {
		return wrong != NULL ? wrong : stopped;
	}
	if (cpu_count() > 1 && sched_delay_samples() == samples) {
		return "no delay was recorded";
	}
	return NULL;
}

// One thread per CPU, each woken over and over from here.
const char *exercise_events(void)
{
	static struct pair pairs[CPUS_MAX];

	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		pairs[cpu] = (struct pair){EVENT_INITIAL, EVENT_INITIAL, 0};
		thread_create("answer", answer, &pairs[cpu], SCHED_PRIORITY_PIPELINE, (int)cpu, 0);
	}
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		const char *wrong = play(&pairs[cpu], ROUNDS);
		if (wrong != NULL) {
			return wrong;
		}
	}
	return NULL;
}

const char *exercise_sleep(void)
{
	struct event never = EVENT_INITIAL;

	for (uint64_t ns = 1; ns < 40000000; ns = ns * 3 + 7) {
		uint64_t before_ns = arch_now_ns();
		thread_sleep_ns(ns);
		if (arch_now_ns() - before_ns < ns) {
			return "a sleep ended early";
		}
		before_ns = arch_now_ns();
		if (event_wait_timeout(&never, ns)) {
			return "an event came that nobody sent";
		}
		if (arch_now_ns() - before_ns < ns) {
			return "a wait ended early";
		}
	}
	return NULL;
}

static void leave(void *argument)
{
	__atomic_fetch_add((uint32_t *)argument, 1, __ATOMIC_RELEASE);
}

// Many more threads than places, one after the other: places come back.
const char *exercise_exit(void)
{
	static uint32_t left;
	uint32_t made = 0;
	uint64_t limit_ns = arch_now_ns() + PATIENCE_NS;

	left = 0;
	while (made < 10 * THREADS_MAX) {
		if (thread_create("brief", leave, &left, SCHED_PRIORITY_LOW, -1, 0) != NULL) {
			made++;
			continue;
		}
		if (arch_now_ns() > limit_ns) {
			return "places of ended threads do not come back";
		}
		thread_sleep_ns(SCHED_SLICE_NS);
	}
	while (load_acquire(&left) < made) {
		if (arch_now_ns() > limit_ns) {
			return "a thread never ran";
		}
		thread_sleep_ns(SCHED_SLICE_NS);
	}
	return NULL;
}
