// Kernel threads: fixed pool, priorities, one run queue per CPU.
//
// A thread stays on the CPU it was created on. The highest priority runs;
// equal priorities share the CPU in slices of SCHED_SLICE_NS; a woken thread
// of higher priority preempts at once, on another CPU through an interrupt.
// Nothing ticks on an idle CPU, nor on one that runs a single thread of
// priority NET_RX or above.
#ifndef KERNEL_CORE_SCHED_SCHED_H
#define KERNEL_CORE_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sync/spinlock.h"

#define SCHED_PRIORITIES 32
#define SCHED_PRIORITY_IDLE 0
#define SCHED_PRIORITY_LOW 4
#define SCHED_PRIORITY_PIPELINE 8
#define SCHED_PRIORITY_CONTROL 16
#define SCHED_PRIORITY_NET_RX 24
#define SCHED_PRIORITY_HIGHEST 31

#define THREADS_MAX 64
#define SCHED_SLICE_NS 1000000ull

// The thread uses floating point: its FP state is kept across switches.
// Any other thread that touches an FP register faults.
#define THREAD_FP 1u

struct thread;

// NULL when all THREADS_MAX are in use. cpu -1: the online CPU with fewest
// threads. `name` is kept by reference.
struct thread *thread_create(const char *name, void (*entry)(void *), void *argument, unsigned priority, int cpu,
			     unsigned flags);
_Noreturn void thread_exit(void);
void thread_yield(void);
void thread_sleep_ns(uint64_t nanoseconds);
struct thread *thread_current(void);
const char *thread_name(const struct thread *thread);
unsigned thread_cpu(const struct thread *thread);

// A binary event that resets itself: a signal wakes the first waiter, or is
// remembered until the next wait; further signals before that are merged.
struct event {
	struct spinlock lock;
	bool signalled;
	struct thread *waiters; // first in, first out
};

#define EVENT_INITIAL {SPINLOCK_INITIAL, false, 0}

void event_init(struct event *event);
void event_signal(struct event *event); // from threads and interrupt handlers
void event_wait(struct event *event);
// False when `nanoseconds` passed without a signal.
bool event_wait_timeout(struct event *event, uint64_t nanoseconds);

// Virtual nanoseconds CPU spent in its idle thread since it came online.
uint64_t sched_idle_ns(unsigned cpu);

// The longest time from event_signal, or from the end of a sleep or time-out,
// to the switch to the woken thread of priority NET_RX or above, counted when a
// thread of lower priority (not the idle thread) held the CPU. Exact on one
// CPU under icount; with several, QEMU runs them in turn and the wait for the
// turn is in the figure.
uint64_t sched_delay_ns_max(void);
// How many wake-ups that maximum was taken over.
uint64_t sched_delay_samples(void);

// Boot: make the running context CPU `cpu`'s idle thread; then run threads.
void sched_init_cpu(unsigned cpu);
_Noreturn void sched_idle_loop(void);

// From the timer and the reschedule interrupt, interrupts masked.
void sched_timer_interrupt(void);
void sched_reschedule_interrupt(void);
// At the end of an interrupt: switch if a better thread is ready.
void sched_preempt(void);

#endif
