// Generic timer: virtual counter as clock, its comparator as one-shot alarm.

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "board/qemuvirt/board.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "core/trap/irq.h"

#define NS_PER_SECOND 1000000000ull
#define PMU_INSTRUCTIONS_BIT (1u << 8) // event 0x08 in PMCEID0

static uint64_t ticks_per_second;
static uint64_t ns_per_tick; // 0 when it is not a whole number

void clock_init(void)
{
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(ticks_per_second));
	if (ticks_per_second == 0) {
		panic("clock: the timer has no frequency");
	}
	ns_per_tick = NS_PER_SECOND % ticks_per_second == 0 ? NS_PER_SECOND / ticks_per_second : 0;
}

static uint64_t clock_ticks(void)
{
	uint64_t ticks;

	// isb: the counter must not be read ahead of what is being timed.
	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
	return ticks;
}

uint64_t arch_now_ns(void)
{
	uint64_t ticks = clock_ticks();

	if (ns_per_tick != 0) {
		return ticks * ns_per_tick;
	}
	return ticks / ticks_per_second * NS_PER_SECOND + ticks % ticks_per_second * NS_PER_SECOND / ticks_per_second;
}

// Rounded up, so that the alarm never fires before its deadline.
static uint64_t ticks_of_ns(uint64_t nanoseconds)
{
	if (ns_per_tick != 0) {
		return nanoseconds / ns_per_tick + (nanoseconds % ns_per_tick != 0);
	}
	return nanoseconds / NS_PER_SECOND * ticks_per_second +
	       nanoseconds % NS_PER_SECOND * ticks_per_second / NS_PER_SECOND + 1;
}

bool arch_counts_exactly(void)
{
	uint64_t events;

	__asm__ volatile("mrs %0, pmceid0_el0" : "=r"(events));
	return (events & PMU_INSTRUCTIONS_BIT) != 0;
}

uint64_t arch_instructions_retired(void)
{
	uint64_t count;

	if (!arch_counts_exactly()) {
		return arch_instructions();
	}
	__asm__ volatile("mrs %0, pmevcntr0_el0" : "=r"(count));
	return count & 0xffffffff;
}

static void timer_fired(unsigned intid, void *argument)
{
	(void)intid;
	(void)argument;
	// The line stays up while the condition holds: stop, the scheduler sets
	// the next deadline.
	timer_stop();
	sched_timer_interrupt();
}

void timer_init_cpu(void)
{
	timer_stop();
	irq_register(board.timer_virtual_intid, timer_fired, 0);
}

void timer_set_deadline_ns(uint64_t deadline_ns)
{
	__asm__ volatile("msr cntv_cval_el0, %0" ::"r"(ticks_of_ns(deadline_ns)));
	__asm__ volatile("msr cntv_ctl_el0, %0\n\tisb" ::"r"(1ul));
}

void timer_stop(void)
{
	__asm__ volatile("msr cntv_ctl_el0, xzr\n\tisb");
}
