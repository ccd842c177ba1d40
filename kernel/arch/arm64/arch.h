// The processor as portable code sees it: identity, clock, instruction
// counter, interrupt mask, waiting and the firmware (PSCI). Nothing outside
// arch/arm64 names a system register.
#ifndef KERNEL_ARCH_ARM64_ARCH_H
#define KERNEL_ARCH_ARM64_ARCH_H

#include <stdbool.h>
#include <stdint.h>

// Most CPUs this kernel starts; a larger machine keeps the others off.
#define CPUS_MAX 8

struct thread;

// What each CPU finds behind TPIDR_EL1. Threads never move between CPUs, so
// a thread may keep the pointer. The first fields are read by assembly
// (offsets.h, asserted in percpu.c).
struct percpu {
	struct thread *current;
	void *exception_stack_top;
	uint32_t cpu;
	uint32_t irq_depth; // above 0 while an interrupt handler runs
	uint64_t affinity;  // MPIDR affinity fields, as PSCI and the GIC want them
	void *redistributor;
	bool online;
} __attribute__((aligned(64))); // a cache line of its own

extern struct percpu percpu[CPUS_MAX];

static inline struct percpu *this_cpu(void)
{
	struct percpu *self;
	__asm__("mrs %0, tpidr_el1" : "=r"(self));
	return self;
}

static inline unsigned cpu_id(void)
{
	return this_cpu()->cpu;
}

// CPUs that are online: they run threads and take interrupts.
unsigned cpu_count(void);

// Virtual nanoseconds since reset, from the generic timer (16 ns steps on
// QEMU virt).
uint64_t arch_now_ns(void);

// The raw cycle counter. Under QEMU `-icount shift=0` it advances by one for
// each instruction of any CPU *and* by one for each nanosecond that all CPUs
// sleep, so differences are instructions only across code that does not wait.
// Each CPU counts from its own first instruction: compare on one CPU only.
static inline uint64_t arch_instructions(void)
{
	uint64_t count;
	__asm__ volatile("mrs %0, pmccntr_el0" : "=r"(count));
	return count;
}

// Instructions retired (under icount by all CPUs together) since this CPU's
// first one, waiting excluded, where the machine offers the event (QEMU: only
// under icount); else the cycle counter. Wraps at 2^32: meant for boot.
uint64_t arch_instructions_retired(void);

// Sleep until an interrupt is pending, masked or not.
static inline void arch_wfi(void)
{
	__asm__ volatile("dsb sy\n\twfi" ::: "memory");
}

// Hint in a spin loop: lets QEMU run another CPU under icount.
static inline void arch_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

// Interrupt mask. irq_save masks and returns the former state for irq_restore.
static inline uint64_t irq_save(void)
{
	uint64_t state;
	__asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(state)::"memory");
	return state;
}

static inline void irq_restore(uint64_t state)
{
	__asm__ volatile("msr daif, %0" ::"r"(state) : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("msr daifclr, #2" ::: "memory");
}

static inline bool irq_state_masked(uint64_t state)
{
	return (state & 0x80) != 0;
}

static inline bool irq_masked(void)
{
	uint64_t state;
	__asm__ volatile("mrs %0, daif" : "=r"(state));
	return irq_state_masked(state);
}

// Firmware. psci_init chooses the conduit named by the device tree.
void psci_init(bool use_smc);
int64_t psci_cpu_on(uint64_t affinity, uint64_t entry_physical, uint64_t context);
_Noreturn void psci_system_off(void);

// The boot CPU: its struct percpu, known before the board is (panic needs it);
// later its interrupts, timer and idle thread.
void smp_boot_cpu_begins(void);
void smp_boot_cpu_online(void);

// Start the other CPUs the board lists and wait until each is online.
void smp_start(void);

// Clock and timer: one-shot, absolute, in the time of arch_now_ns.
void clock_init(void);
void timer_init_cpu(void);
void timer_set_deadline_ns(uint64_t deadline_ns);
void timer_stop(void);

// Floating point: a thread without THREAD_FP must not touch it.
void fp_allow(bool allowed);

// True when the CPU runs under a virtual clock that only instructions drive.
bool arch_counts_exactly(void);

#endif
