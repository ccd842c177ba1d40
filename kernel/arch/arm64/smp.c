// Firmware calls and the start of the other CPUs.
// PSCI: Arm DEN 0022; 64-bit function numbers.

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/offsets.h"
#include "arch/arm64/stack.h"
#include "arch/arm64/trap_frame.h"
#include "board/qemuvirt/board.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sched/sched.h"
#include "core/sched/thread.h"

#define PSCI_CPU_ON 0xc4000003u
#define PSCI_SYSTEM_OFF 0x84000008u
// A CPU comes online within some 10,000 instructions; a second is a fault.
#define CPU_START_NS_MAX 1000000000ull

_Static_assert(CPUS_MAX == BOARD_CPUS_MAX, "one limit for CPUs");
_Static_assert(THREADS_MAX == STACK_THREADS, "a stack for each thread");
_Static_assert(STACK_SLOTS == STACK_THREADS + 2 * CPUS_MAX, "two stacks for each CPU");
_Static_assert(STACK_SLOT_BYTES == 1 << STACK_SLOT_SHIFT, "slot size");
_Static_assert(__builtin_offsetof(struct percpu, current) == PERCPU_CURRENT, "");
_Static_assert(__builtin_offsetof(struct percpu, exception_stack_top) == PERCPU_EXCEPTION_STACK, "");
_Static_assert(__builtin_offsetof(struct percpu, cpu) == 16, "boot.S reads it there");
_Static_assert(__builtin_offsetof(struct thread, saved) == THREAD_SAVED, "");
_Static_assert(__builtin_offsetof(struct thread, guard) == THREAD_GUARD, "");
_Static_assert(sizeof(struct trap_frame) == FRAME_BYTES, "");
_Static_assert(__builtin_offsetof(struct trap_frame, sp) == FRAME_SP, "");
_Static_assert(__builtin_offsetof(struct trap_frame, pc) == FRAME_PC, "");
_Static_assert(__builtin_offsetof(struct trap_frame, syndrome) == FRAME_SYNDROME, "");
_Static_assert(sizeof(struct guard_link) == GUARD_BYTES, "");
_Static_assert(__builtin_offsetof(struct guard_link, previous) == GUARD_PREVIOUS, "");
_Static_assert(__builtin_offsetof(struct guard_link, result) == GUARD_RESULT, "");

struct percpu percpu[CPUS_MAX];

static bool conduit_smc;
static uint32_t cpus_online;

void secondary_entry(void);
_Noreturn void secondary_main(void);

static int64_t psci_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	if (conduit_smc) {
		__asm__ volatile("smc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	} else {
		__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	}
	return (int64_t)x0;
}

void psci_init(bool use_smc)
{
	conduit_smc = use_smc;
}

int64_t psci_cpu_on(uint64_t affinity, uint64_t entry_physical, uint64_t context)
{
	return psci_call(PSCI_CPU_ON, affinity, entry_physical, context);
}

_Noreturn void psci_system_off(void)
{
	psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;) {
		irq_save();
		arch_wfi();
	}
}

unsigned cpu_count(void)
{
	return load_acquire(&cpus_online);
}

void *stack_top(unsigned slot)
{
	return stack_slots + (uint64_t)(slot + 1) * STACK_SLOT_BYTES;
}

static void cpu_prepare(unsigned cpu, uint64_t affinity)
{
	percpu[cpu].cpu = cpu;
	percpu[cpu].affinity = affinity;
	percpu[cpu].exception_stack_top = stack_top(STACK_THREADS + 2 * cpu + 1);
}

// Affinity fields of MPIDR_EL1: bytes 0 to 2 and, at bit 32, 3.
void smp_boot_cpu_begins(void)
{
	uint64_t affinity;

	__asm__ volatile("mrs %0, mpidr_el1" : "=r"(affinity));
	cpu_prepare(0, affinity & 0xff00ffffff);
}

static void cpu_online(void)
{
	fp_allow(false);
	gic_init_cpu();
	timer_init_cpu();
	sched_init_cpu(cpu_id());
	this_cpu()->online = true;
	__atomic_fetch_add(&cpus_online, 1, __ATOMIC_RELEASE);
}

void smp_boot_cpu_online(void)
{
	cpu_online();
}

_Noreturn void secondary_main(void)
{
	cpu_online();
	sched_idle_loop();
}

void smp_start(void)
{
	for (unsigned cpu = 1; cpu < board.cpus; cpu++) {
		cpu_prepare(cpu, board.cpu_affinity[cpu]);
		smp_wmb();
		int64_t code = psci_cpu_on(percpu[cpu].affinity, virt_to_phys((void *)secondary_entry),
					   (uint64_t)&percpu[cpu]);
		if (code != 0) {
			panic("cpu %u does not start: firmware says %lld", cpu, (long long)code);
		}
	}
	uint64_t limit_ns = arch_now_ns() + CPU_START_NS_MAX;
	while (cpu_count() < board.cpus) {
		if (arch_now_ns() > limit_ns) {
			panic("%u of %u CPUs came online", cpu_count(), board.cpus);
		}
		arch_relax();
	}
}

// CPACR_EL1.FPEN: 0 traps, 3 allows.
void fp_allow(bool allowed)
{
	uint64_t value = allowed ? 3ul << 20 : 0;

	__asm__ volatile("msr cpacr_el1, %0\n\tisb" ::"r"(value) : "memory");
}
