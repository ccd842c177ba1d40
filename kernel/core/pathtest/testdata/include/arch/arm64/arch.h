// The processor, as the packet path's tests play it: each thread is the CPU
// that `host_cpu` names, time and instructions are counters.
#ifndef KERNEL_ARCH_ARM64_ARCH_H
#define KERNEL_ARCH_ARM64_ARCH_H

#include <stdbool.h>
#include <stdint.h>

extern _Thread_local unsigned host_cpu;
extern unsigned host_cpus;
extern uint64_t host_now_ns;

static inline unsigned cpu_id(void)
{
	return host_cpu;
}

static inline unsigned cpu_count(void)
{
	return host_cpus;
}

static inline uint64_t arch_now_ns(void)
{
	return __atomic_load_n(&host_now_ns, __ATOMIC_RELAXED);
}

static inline uint64_t arch_instructions(void)
{
	return __atomic_add_fetch(&host_now_ns, 1, __ATOMIC_RELAXED);
}

static inline void arch_relax(void)
{
}

static inline uint64_t irq_save(void)
{
	return 0;
}

static inline void irq_restore(uint64_t state)
{
	(void)state;
}

#endif
