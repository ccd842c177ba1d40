// Threads as objects: making and ending them, and sleeping.

#include "core/sched/thread.h"

#include <stddef.h>

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/stack.h"
#include "core/log/log.h"
#include "core/sched/queue.h"

// Places of x19, x20, x30 and sp in thread.saved.
#define SAVED_ENTRY 0
#define SAVED_ARGUMENT 1
#define SAVED_LINK 11
#define SAVED_STACK 12

static struct thread threads[THREADS_MAX];
static struct spinlock threads_lock;

const char *thread_name(const struct thread *thread)
{
	return thread->name;
}

unsigned thread_cpu(const struct thread *thread)
{
	return thread->cpu;
}

static unsigned least_loaded_cpu(void)
{
	unsigned load[CPUS_MAX] = {0};
	unsigned best = 0;

	for (unsigned i = 0; i < THREADS_MAX; i++) {
		if (threads[i].state != THREAD_UNUSED) {
			load[threads[i].cpu]++;
		}
	}
	for (unsigned cpu = 1; cpu < CPUS_MAX; cpu++) {
		if (percpu[cpu].online && load[cpu] < load[best]) {
			best = cpu;
		}
	}
	return best;
}

// A place whose stack nobody stands on; its number is the stack's.
static int take_place(void)
{
	for (int i = 0; i < THREADS_MAX; i++) {
		if (load_acquire(&threads[i].state) == THREAD_UNUSED) {
			return i;
		}
	}
	return -1;
}

static void fill_in(struct thread *thread, unsigned place, void (*entry)(void *), void *argument)
{
	thread->saved[SAVED_ENTRY] = (uint64_t)entry;
	thread->saved[SAVED_ARGUMENT] = (uint64_t)argument;
	thread->saved[SAVED_LINK] = (uint64_t)thread_trampoline;
	thread->saved[SAVED_STACK] = (uint64_t)stack_top(place);
	thread->stack_top = (uint64_t)stack_top(place);
	thread->guard = NULL;
	thread->in_sleepers = false;
	thread->reporting_fault = false;
	thread->signalled_ns = 0;
	if ((thread->flags & THREAD_FP) != 0) {
		thread->fp = (struct fp_state){0};
	}
}

struct thread *thread_create(const char *name, void (*entry)(void *), void *argument, unsigned priority, int cpu,
			     unsigned flags)
{
	if (priority == SCHED_PRIORITY_IDLE || priority > SCHED_PRIORITY_HIGHEST || cpu >= CPUS_MAX) {
		panic("thread_create: %s: priority %u, cpu %d", name, priority, cpu);
	}
	uint64_t state = spin_lock_irqsave(&threads_lock);
	int place = take_place();
	struct thread *thread = place < 0 ? NULL : &threads[place];
	if (thread != NULL) {
		thread->name = name;
		thread->cpu = (uint8_t)(cpu < 0 ? least_loaded_cpu() : (unsigned)cpu);
		thread->priority = (uint8_t)priority;
		thread->flags = (uint8_t)flags;
		fill_in(thread, (unsigned)place, entry, argument);
		store_release(&thread->state, THREAD_WAITING);
	}
	spin_unlock(&threads_lock);
	if (thread != NULL) {
		sched_tell(sched_wake(thread, 0), state);
	}
	irq_restore(state);
	return thread;
}

_Noreturn void thread_exit(void)
{
	irq_save();
	struct run_queue *queue = sched_queue(cpu_id());

	spin_lock(&queue->lock);
	thread_current()->state = THREAD_EXITED;
	sched_switch_locked(queue);
	panic("thread_exit: an ended thread runs");
}

void sleepers_insert(struct run_queue *queue, struct thread *thread, uint64_t deadline_ns)
{
	struct thread **at = &queue->sleepers;

	while (*at != NULL && (*at)->deadline_ns <= deadline_ns) {
		at = &(*at)->next_sleeper;
	}
	thread->deadline_ns = deadline_ns;
	thread->next_sleeper = *at;
	thread->in_sleepers = true;
	*at = thread;
}

void sleepers_remove(struct run_queue *queue, struct thread *thread)
{
	struct thread **at = &queue->sleepers;

	while (*at != thread) {
		at = &(*at)->next_sleeper;
	}
	*at = thread->next_sleeper;
	thread->in_sleepers = false;
}

void thread_sleep_ns(uint64_t nanoseconds)
{
	uint64_t state = irq_save();
	struct run_queue *queue = sched_queue(cpu_id());
	struct thread *current = thread_current();

	spin_lock(&queue->lock);
	current->state = THREAD_SLEEPING;
	sleepers_insert(queue, current, arch_now_ns() + nanoseconds);
	sched_switch_locked(queue);
	irq_restore(state);
}
