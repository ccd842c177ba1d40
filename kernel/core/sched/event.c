// Events. The signaller wakes while it holds the event's lock, so when a
// waiter whose time ran out gets the lock, it knows for certain whether a
// signal took it off the list.

#include <stddef.h>

#include "core/sched/queue.h"
#include "core/sched/sched.h"
#include "core/sched/thread.h"

void event_init(struct event *event)
{
	*event = (struct event)EVENT_INITIAL;
}

void event_signal(struct event *event)
{
	uint64_t state = spin_lock_irqsave(&event->lock);
	struct thread *thread = event->waiters;
	int cpu = SCHED_NOBODY;

	if (thread != NULL) {
		event->waiters = thread->next_waiter;
		cpu = sched_wake(thread, arch_now_ns());
	} else {
		event->signalled = true;
	}
	spin_unlock(&event->lock);
	sched_tell(cpu, state);
	irq_restore(state);
}

static void append(struct event *event, struct thread *thread)
{
	struct thread **at = &event->waiters;

	while (*at != NULL) {
		at = &(*at)->next_waiter;
	}
	thread->next_waiter = NULL;
	*at = thread;
}

// True if the thread was still waiting.
static bool withdraw(struct event *event, struct thread *thread)
{
	for (struct thread **at = &event->waiters; *at != NULL; at = &(*at)->next_waiter) {
		if (*at == thread) {
			*at = thread->next_waiter;
			return true;
		}
	}
	return false;
}

// deadline_ns 0: none. Event locked, interrupts masked; returns unlocked.
static void wait_locked(struct event *event, uint64_t deadline_ns)
{
	struct run_queue *queue = sched_queue(cpu_id());
	struct thread *current = thread_current();

	append(event, current);
	spin_lock(&queue->lock);
	current->state = THREAD_WAITING;
	if (deadline_ns != 0) {
		sleepers_insert(queue, current, deadline_ns);
	}
	// From here a signaller waits for the queue's lock, that is until this
	// thread has left its stack.
	spin_unlock(&event->lock);
	sched_switch_locked(queue);
}

void event_wait(struct event *event)
{
	uint64_t state = spin_lock_irqsave(&event->lock);

	if (event->signalled) {
		event->signalled = false;
		spin_unlock(&event->lock);
	} else {
		wait_locked(event, 0);
	}
	irq_restore(state);
}

bool event_wait_timeout(struct event *event, uint64_t nanoseconds)
{
	uint64_t state = spin_lock_irqsave(&event->lock);
	bool signalled = event->signalled;

	event->signalled = false;
	if (signalled) {
		spin_unlock_irqrestore(&event->lock, state);
		return true;
	}
	wait_locked(event, arch_now_ns() + nanoseconds);
	spin_lock(&event->lock);
	bool timed_out = withdraw(event, thread_current());
	spin_unlock_irqrestore(&event->lock, state);
	return !timed_out;
}
