// The scheduler: who runs on this CPU now, and who next.
//
// Locks. Each run queue has one, always taken with interrupts masked; it
// guards the state of all threads of its CPU and is held *across* a switch:
// the thread that is switched to lets go of it. So nobody can wake a thread
// that has not yet left its stack. An event's lock is taken before a run
// queue's, never after.

#include "core/sched/sched.h"

#include <stddef.h>

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "core/log/log.h"
#include "core/sched/queue.h"
#include "core/sched/thread.h"

static struct run_queue queues[CPUS_MAX];

static struct run_queue *this_queue(void)
{
	return &queues[cpu_id()];
}

struct run_queue *sched_queue(unsigned cpu)
{
	return &queues[cpu];
}

struct thread *thread_current(void)
{
	return this_cpu()->current;
}

// Ready threads wait first in, first out within a priority.
static void queue_push(struct run_queue *queue, struct thread *thread)
{
	struct thread_list *list = &queue->ready[thread->priority];

	thread->state = THREAD_READY;
	thread->next = NULL;
	if (list->last != NULL) {
		list->last->next = thread;
	} else {
		list->first = thread;
	}
	list->last = thread;
	queue->ready_priorities |= 1u << thread->priority;
}

static struct thread *queue_pop(struct run_queue *queue)
{
	if (queue->ready_priorities == 0) {
		return queue->idle;
	}
	unsigned priority = 31 - (unsigned)__builtin_clz(queue->ready_priorities);
	struct thread_list *list = &queue->ready[priority];
	struct thread *thread = list->first;
	list->first = thread->next;
	if (list->first == NULL) {
		list->last = NULL;
		queue->ready_priorities &= ~(1u << priority);
	}
	return thread;
}

static bool better_ready(const struct run_queue *queue, unsigned than)
{
	return queue->ready_priorities >> than > 1;
}

static bool equal_ready(const struct run_queue *queue, unsigned priority)
{
	return (queue->ready_priorities >> priority & 1) != 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// The next moment this CPU must look again: the first sleeper's deadline, and
// the end of the slice while an equal waits. Idle or alone at NET_RX and above:
// no alarm at all. Below that a look per slice costs little and ends QEMU's
// turn of this CPU, which under icount is 100 ms long otherwise.
static void set_alarm(struct run_queue *queue, uint64_t now_ns)
{
	struct thread *current = this_cpu()->current;
	uint64_t deadline_ns = UINT64_MAX;

	if (queue->sleepers != NULL) {
		deadline_ns = queue->sleepers->deadline_ns;
	}
	if (current != queue->idle && current->priority < SCHED_PRIORITY_NET_RX) {
		deadline_ns = earlier(deadline_ns, now_ns + SCHED_SLICE_NS);
	}
	if (current != queue->idle && equal_ready(queue, current->priority)) {
		if (queue->slice_end_ns == 0) {
			queue->slice_end_ns = now_ns + SCHED_SLICE_NS;
		}
		deadline_ns = earlier(deadline_ns, queue->slice_end_ns);
	}
	if (deadline_ns == queue->alarm_ns) {
		return;
	}
	queue->alarm_ns = deadline_ns;
	if (deadline_ns == UINT64_MAX) {
		timer_stop();
	} else {
		timer_set_deadline_ns(deadline_ns);
	}
}

static void account(struct run_queue *queue, struct thread *from, struct thread *to, uint64_t now_ns)
{
	if (from == queue->idle) {
		store_release(&queue->idle_ns, queue->idle_ns + now_ns - queue->idle_since_ns);
		queue->idle_since_ns = 0;
	}
	if (to == queue->idle) {
		queue->idle_since_ns = now_ns;
	}
	if (to->signalled_ns != 0) {
		uint64_t delay_ns = now_ns - to->signalled_ns;
		to->signalled_ns = 0;
		queue->delay_samples++;
		if (delay_ns > queue->delay_ns_max) {
			queue->delay_ns_max = delay_ns;
		}
	}
}

static void move_fp(struct thread *from, struct thread *to)
{
	if ((from->flags & THREAD_FP) != 0 && from->state != THREAD_EXITED) {
		fp_save(&from->fp);
	}
	if ((to->flags & THREAD_FP) != 0) {
		fp_allow(true);
		fp_restore(&to->fp);
	} else if ((from->flags & THREAD_FP) != 0) {
		fp_allow(false);
	}
}

// The other side of a switch: the thread left behind may be gone for good, and
// the lock that came with us goes back.
static void after_switch(void)
{
	struct run_queue *queue = this_queue();

	if (queue->exited != NULL) {
		store_release(&queue->exited->state, THREAD_UNUSED);
		queue->exited = NULL;
	}
	spin_unlock(&queue->lock);
}

// Queue locked, interrupts masked, the running thread's state already says
// what becomes of it (READY: it is in the queue). Returns unlocked.
void sched_switch_locked(struct run_queue *queue)
{
	struct percpu *self = this_cpu();
	struct thread *from = self->current;
	struct thread *to = queue_pop(queue);
	uint64_t now_ns = arch_now_ns();

	to->state = THREAD_RUNNING;
	queue->slice_end_ns = 0;
	self->current = to;
	set_alarm(queue, now_ns);
	if (to == from) {
		spin_unlock(&queue->lock);
		return;
	}
	account(queue, from, to, now_ns);
	if (from->state == THREAD_EXITED) {
		queue->exited = from;
	}
	if (((from->flags | to->flags) & THREAD_FP) != 0) {
		move_fp(from, to);
	}
	context_switch(from, to);
	after_switch();
}

// First code of a new thread, from the trampoline.
void sched_thread_begins(void)
{
	after_switch();
	irq_enable();
}

// Give the CPU to a better thread, staying ready. The idle thread never queues.
static void step_back(struct run_queue *queue)
{
	struct thread *current = thread_current();

	if (current != queue->idle) {
		queue_push(queue, current);
	}
	sched_switch_locked(queue);
}

void sched_preempt(void)
{
	struct run_queue *queue = this_queue();

	spin_lock(&queue->lock);
	struct thread *current = thread_current();
	bool slice_over = queue->slice_over;
	queue->slice_over = false;
	if (slice_over) {
		queue->slice_end_ns = 0;
	}
	if (better_ready(queue, current->priority) || (slice_over && equal_ready(queue, current->priority))) {
		step_back(queue);
		return;
	}
	set_alarm(queue, arch_now_ns());
	spin_unlock(&queue->lock);
}

void thread_yield(void)
{
	uint64_t state = irq_save();
	struct run_queue *queue = this_queue();

	spin_lock(&queue->lock);
	step_back(queue);
	irq_restore(state);
}

// Begin to measure a wake-up that has to take the CPU from a busy thread.
static void note_wake(const struct run_queue *queue, struct thread *thread, uint64_t since_ns)
{
	const struct thread *running = percpu[thread->cpu].current;
	bool measured = thread->priority >= SCHED_PRIORITY_NET_RX && running != queue->idle &&
			thread->priority > running->priority;

	thread->signalled_ns = measured ? since_ns : 0;
}

// Make a waiting thread ready. The answer is for sched_tell: the CPU that has
// to look again, or SCHED_NOBODY. Interrupts masked.
int sched_wake(struct thread *thread, uint64_t signalled_ns)
{
	struct run_queue *queue = &queues[thread->cpu];
	int cpu = SCHED_NOBODY;

	spin_lock(&queue->lock);
	if (thread->state == THREAD_WAITING) {
		const struct thread *running = percpu[thread->cpu].current;
		if (thread->in_sleepers) {
			sleepers_remove(queue, thread);
		}
		note_wake(queue, thread, signalled_ns);
		queue_push(queue, thread);
		// Better than what runs: switch. Equal to it: a slice begins, and only
		// the CPU itself can set its alarm.
		if (thread->priority > running->priority ||
		    (thread->priority == running->priority && queue->slice_end_ns == 0)) {
			cpu = thread->cpu;
		}
	}
	spin_unlock(&queue->lock);
	return cpu;
}

// Make the CPU that sched_wake named look again; locks released, interrupts
// still masked, `state` is the mask to return to. In a handler this CPU
// switches at the end anyway; where the caller keeps interrupts masked, one to
// ourselves makes the switch as soon as it lets go.
void sched_tell(int cpu, uint64_t state)
{
	if (cpu == SCHED_NOBODY) {
		return;
	}
	if (cpu != (int)cpu_id()) {
		gic_send((unsigned)cpu, GIC_SGI_RESCHEDULE);
	} else if (this_cpu()->irq_depth != 0) {
		return;
	} else if (irq_state_masked(state)) {
		gic_send((unsigned)cpu, GIC_SGI_RESCHEDULE);
	} else {
		sched_preempt();
	}
}

void sched_timer_interrupt(void)
{
	struct run_queue *queue = this_queue();
	uint64_t now_ns = arch_now_ns();

	spin_lock(&queue->lock);
	queue->alarm_ns = UINT64_MAX; // the handler stopped the timer
	if (queue->slice_end_ns != 0 && now_ns >= queue->slice_end_ns) {
		queue->slice_over = true;
	}
	// At most one turn per thread.
	while (queue->sleepers != NULL && queue->sleepers->deadline_ns <= now_ns) {
		struct thread *thread = queue->sleepers;
		sleepers_remove(queue, thread);
		note_wake(queue, thread, thread->deadline_ns);
		queue_push(queue, thread);
	}
	spin_unlock(&queue->lock);
	// sched_preempt at the end of the interrupt switches and sets the alarm.
}

void sched_reschedule_interrupt(void)
{
	// Nothing: every interrupt ends in sched_preempt.
}

void sched_init_cpu(unsigned cpu)
{
	static struct thread idle_threads[CPUS_MAX];
	struct thread *idle = &idle_threads[cpu];
	struct run_queue *queue = &queues[cpu];

	idle->name = "idle";
	idle->cpu = (uint8_t)cpu;
	idle->priority = SCHED_PRIORITY_IDLE;
	idle->state = THREAD_RUNNING;
	queue->idle = idle;
	queue->alarm_ns = UINT64_MAX;
	queue->idle_since_ns = arch_now_ns();
	this_cpu()->current = idle;
}

_Noreturn void sched_idle_loop(void)
{
	struct run_queue *queue = this_queue();

	queue->idle_since_ns = arch_now_ns(); // what came before was boot
	for (;;) {
		// Masked between the look and the sleep: an interrupt that makes a
		// thread ready stays pending and ends the WFI.
		irq_save();
		if (__atomic_load_n(&queue->ready_priorities, __ATOMIC_RELAXED) == 0) {
			arch_wfi();
			irq_enable(); // the interrupt is taken here and switches
		} else {
			sched_preempt();
			irq_enable();
		}
	}
}

uint64_t sched_idle_ns(unsigned cpu)
{
	struct run_queue *queue = &queues[cpu];
	uint64_t since_ns = load_acquire(&queue->idle_since_ns);
	uint64_t sum_ns = load_acquire(&queue->idle_ns);

	return since_ns != 0 ? sum_ns + arch_now_ns() - since_ns : sum_ns;
}

uint64_t sched_delay_ns_max(void)
{
	uint64_t longest_ns = 0;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		uint64_t delay_ns = load_acquire(&queues[cpu].delay_ns_max);
		longest_ns = delay_ns > longest_ns ? delay_ns : longest_ns;
	}
	return longest_ns;
}

uint64_t sched_delay_samples(void)
{
	uint64_t samples = 0;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		samples += load_acquire(&queues[cpu].delay_samples);
	}
	return samples;
}
