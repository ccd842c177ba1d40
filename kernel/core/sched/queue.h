// A CPU's run queue, shared by the files of core/sched only.
#ifndef KERNEL_CORE_SCHED_QUEUE_H
#define KERNEL_CORE_SCHED_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sched/sched.h"
#include "core/sync/spinlock.h"

#define SCHED_NOBODY (-1)

struct thread_list {
	struct thread *first, *last;
};

struct run_queue {
	struct spinlock lock;
	uint32_t ready_priorities; // bit per priority with a ready thread
	struct thread_list ready[SCHED_PRIORITIES];
	struct thread *sleepers; // by deadline, earliest first
	struct thread *idle;
	struct thread *exited; // left its stack in the switch under way
	uint64_t alarm_ns;	   // what the timer is set to; UINT64_MAX = off
	uint64_t slice_end_ns; // 0 = no equal waits
	bool slice_over;
	uint64_t idle_since_ns, idle_ns;
	uint64_t delay_ns_max, delay_samples;
};

struct run_queue *sched_queue(unsigned cpu);
void sched_switch_locked(struct run_queue *queue);
int sched_wake(struct thread *thread, uint64_t signalled_ns);
void sched_tell(int cpu, uint64_t state);
void sleepers_insert(struct run_queue *queue, struct thread *thread, uint64_t deadline_ns);
void sleepers_remove(struct run_queue *queue, struct thread *thread);

#endif
