// Chooses and runs the exercise; see exercise.h.

#include "core/exercise/exercise.h"

#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/arch.h"
#include "board/qemuvirt/board.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/sched/sched.h"

struct exercise {
	const char *name;
	const char *(*run)(void);
};

static const struct exercise exercises[] = {
	{"slices", exercise_slices},
	{"preempt", exercise_preempt},
	{"events", exercise_events},
	{"sleep", exercise_sleep},
	{"exit", exercise_exit},
	{"pages", exercise_pages},
	{"wxorx", exercise_wxorx},
	{"guard", exercise_guard},
	{"guard-nested", exercise_guard_nested},
	{"guard-overflow", exercise_guard_overflow},
	{"code", exercise_code},
	{"fp", exercise_fp},
	{"die-panic", exercise_die},
	{"die-write-text", exercise_die},
	{"die-run-data", exercise_die},
	{"die-stack", exercise_die},
	{"die-null", exercise_die},
	{"die-fp", exercise_die},
	{"die-guard-locked", exercise_die},
};

#define EXERCISES (sizeof(exercises) / sizeof(exercises[0]))

const char *exercise_argument;

static bool named(const struct exercise *exercise, const char *name, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		if (exercise->name[i] != name[i]) {
			return false; // also at the end of the shorter
		}
	}
	return exercise->name[bytes] == 0;
}

static void run_one(const struct exercise *exercise)
{
	exercise_argument = exercise->name;
	const char *wrong = exercise->run();
	if (wrong == NULL) {
		log_line("exercise: %s pass", exercise->name);
	} else {
		log_line("exercise: %s FAIL: %s", exercise->name, wrong);
	}
}

static void thread(void *argument)
{
	if (argument != NULL) {
		run_one(argument);
	} else {
		// "all": those that are meant to come back.
		for (uint32_t i = 0; i < EXERCISES && exercises[i].run != exercise_die; i++) {
			run_one(&exercises[i]);
		}
	}
	log_line("exercise: end, idle %llu ns on cpu 0, longest delay %llu ns of %llu",
		 (unsigned long long)sched_idle_ns(0), (unsigned long long)sched_delay_ns_max(),
		 (unsigned long long)sched_delay_samples());
	psci_system_off();
}

bool exercise_start(void)
{
	uint32_t bytes;
	const char *name = board_argument("exercise", &bytes);

	if (name == NULL) {
		return false;
	}
	if (bytes == 3 && memcmp(name, "all", 3) == 0) {
		thread_create("exercise", thread, NULL, SCHED_PRIORITY_CONTROL, 0, 0);
		return true;
	}
	for (uint32_t i = 0; i < EXERCISES; i++) {
		if (named(&exercises[i], name, bytes)) {
			thread_create("exercise", thread, (void *)&exercises[i], SCHED_PRIORITY_CONTROL, 0, 0);
			return true;
		}
	}
	panic("exercise: the command line names none that exists: %s", name);
}
