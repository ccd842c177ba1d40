// The inside of a thread, for the scheduler, the trap code and assembly.
#ifndef KERNEL_CORE_SCHED_THREAD_H
#define KERNEL_CORE_SCHED_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sched/sched.h"
#include "core/trap/guard.h"

#define SAVED_WORDS 13 // x19..x30, sp

enum thread_state {
	THREAD_UNUSED = 0,
	THREAD_READY,    // in its CPU's run queue
	THREAD_RUNNING,
	THREAD_WAITING, // for an event; also in the sleepers if it has a deadline
	THREAD_SLEEPING,
	THREAD_EXITED,   // until its CPU has left its stack
};

struct guard_link;

struct fp_state {
	uint64_t registers[64]; // q0..q31
	uint64_t status, control;
} __attribute__((aligned(16)));

struct thread {
	uint64_t saved[SAVED_WORDS]; // read by switch.S
	struct guard_link *guard;	  // innermost guard_call; read by guard.S
	const char *name;
	enum thread_state state; // written under the run queue lock
	uint8_t priority;
	uint8_t cpu;
	uint8_t flags;
	bool in_sleepers;
	bool code_faulted; // compiled code, since code_contain last looked
	bool reporting_fault; // between containment and the end of fault_contained
	struct thread *next;	     // in a run queue
	struct thread *next_waiter; // of the event; a timed-out waiter is in both lists
	struct thread *next_sleeper;
	uint64_t stack_top;
	uint64_t deadline_ns;
	uint64_t signalled_ns; // when a wake-up worth measuring came; 0 = none
	struct guard_fault fault;
	struct fp_state fp; // meaningful with THREAD_FP
};

void context_switch(struct thread *from, struct thread *to);
void thread_trampoline(void);
void fp_save(struct fp_state *state);
void fp_restore(const struct fp_state *state);

#endif
