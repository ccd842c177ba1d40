// Exceptions: interrupts go to their handlers, faults of a guarded service to
// its guard, all others to panic.

#include "core/trap/trap.h"

#include <stddef.h>

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "core/code/code.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "core/trap/guard.h"
#include "core/trap/irq.h"

// Interrupts handled per exception; more are taken by the next exception.
#define INTERRUPTS_PER_ENTRY 16

struct handler {
	void (*function)(unsigned intid, void *argument);
	void *argument;
	unsigned long count;
};

static struct handler handlers[IRQ_INTIDS_MAX];

static void check_intid(unsigned intid)
{
	if (intid >= IRQ_INTIDS_MAX) {
		panic("irq: no interrupt %u", intid);
	}
}

void irq_register(unsigned intid, void (*handler)(unsigned intid, void *argument), void *argument)
{
	check_intid(intid);
	handlers[intid].argument = argument;
	// Seen by the CPU that takes the interrupt: gic_enable is a device write
	// after this store.
	__atomic_store_n(&handlers[intid].function, handler, __ATOMIC_RELEASE);
	__asm__ volatile("dsb ishst" ::: "memory");
	gic_enable(intid);
}

void irq_set_cpu(unsigned intid, unsigned cpu)
{
	check_intid(intid);
	gic_set_cpu(intid, cpu);
}

void irq_disable(unsigned intid)
{
	check_intid(intid);
	gic_disable(intid);
}

unsigned long irq_count(unsigned intid)
{
	check_intid(intid);
	return __atomic_load_n(&handlers[intid].count, __ATOMIC_RELAXED);
}

static void dispatch(unsigned intid)
{
	struct handler *handler = &handlers[intid];

	__atomic_fetch_add(&handler->count, 1, __ATOMIC_RELAXED);
	if (intid == GIC_SGI_RESCHEDULE) {
		sched_reschedule_interrupt();
	} else if (intid == GIC_SGI_STOP) {
		panic_stop();
	} else if (handler->function != NULL) {
		handler->function(intid, handler->argument);
	} else {
		gic_disable(intid);
		log_line("irq: %u has no handler, disabled", intid);
	}
}

void trap_interrupt(struct trap_frame *frame)
{
	struct percpu *self = this_cpu();

	(void)frame;
	self->irq_depth++;
	for (int i = 0; i < INTERRUPTS_PER_ENTRY; i++) {
		unsigned intid = gic_acknowledge();
		if (intid >= GIC_INTID_SPECIAL) {
			break;
		}
		dispatch(intid);
		gic_finish(intid);
	}
	self->irq_depth--;
	sched_preempt();
}

static const char *cause_name(uint32_t cause, uint32_t entry)
{
	static const char *const names[] = {
		[GUARD_CAUSE_PANIC] = "check failed (brk)",
		[GUARD_CAUSE_DATA_ABORT] = "data abort",
		[GUARD_CAUSE_FETCH_ABORT] = "instruction abort",
		[GUARD_CAUSE_STACK] = "stack overflow",
		[GUARD_CAUSE_OTHER] = "exception",
	};

	return entry == TRAP_ENTRY_UNEXPECTED ? "unexpected vector" : names[cause];
}

struct guard_link *trap_fault(struct trap_frame *frame, uint32_t entry)
{
	if (code_accept_fault(frame, entry)) {
		return NULL;
	}
	struct guard_link *guard = guard_accept(frame, entry);

	if (guard == NULL) {
		panic_with_frame(frame, cause_name(fault_cause(frame, entry), entry));
	}
	return guard;
}
