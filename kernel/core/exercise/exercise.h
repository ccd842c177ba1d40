// Exercises of the core inside the guest: the kernel command line
// `exercise=NAME` runs one instead of the job, prints `exercise: NAME pass` or
// the first thing that was wrong, and switches the machine off. Those whose
// name begins with `die-` end in the panic they ask for.
#ifndef KERNEL_CORE_EXERCISE_EXERCISE_H
#define KERNEL_CORE_EXERCISE_EXERCISE_H

#include <stdbool.h>

// True if the command line asked for one: its thread then has been started.
bool exercise_start(void);

// An exercise returns NULL when all was right, else what was wrong.
const char *exercise_slices(void);
const char *exercise_preempt(void);
const char *exercise_events(void);
const char *exercise_sleep(void);
const char *exercise_pages(void);
const char *exercise_wxorx(void);
const char *exercise_guard(void);
const char *exercise_guard_nested(void);
const char *exercise_guard_overflow(void);
const char *exercise_code(void);
const char *exercise_fp(void);
const char *exercise_exit(void);
const char *exercise_die(void);

// What `exercise=NAME:` is followed by; for die.
extern const char *exercise_argument;

#endif
