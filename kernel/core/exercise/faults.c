// Exercises of containment, floating point, memory and panic.

#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/arch.h"
#include "arch/arm64/mmu.h"
#include "core/exercise/exercise.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "core/trap/guard.h"

#define PATIENCE_NS 60000000000ull
#define FAULTS_PER_CPU 20
#define UNMAPPED 0xffff7fff00000000ull

struct party {
	uint32_t ready, wrong;
	struct event done;
};

static struct party parties[CPUS_MAX];

// What a service does that fails a check, after spoiling what it may.
static uint64_t fail_check(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	(void)c, (void)d, (void)e, (void)f;
	__asm__ volatile("mov x19, %0\n\tmov x24, %1\n\tmov x28, %0\n\tbrk #1" ::"r"(a), "r"(b)
			 : "x19", "x24", "x28", "memory");
	return 0;
}

static uint64_t add_up(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}

static uint64_t read_nothing(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	(void)b, (void)c, (void)d, (void)e, (void)f;
	return *(volatile uint64_t *)a;
}

static uint64_t run_nothing(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return ((guard_function)a)(a, b, c, d, e, f);
}

__attribute__((noinline)) static uint64_t descend(uint64_t depth)
{
	volatile uint64_t room[32];

	room[depth % 32] = depth;
	if (depth == UINT64_MAX) {
		return room[0];
	}
	return descend(depth + 1) + room[depth % 32];
}

static uint64_t recurse(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	(void)b, (void)c, (void)d, (void)e, (void)f;
	return descend(a);
}

// A good call between every two bad ones; wrong counts what was not as it is
// to be.
static uint32_t alternate(guard_function bad, uint64_t argument, uint32_t times)
{
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < times; i++) {
		uint64_t arguments[6] = {argument, 2, 3, 4, 5, i};
		uint64_t result = 0;
		wrong += guard_call(bad, arguments, &result, SERVICE_NONE) != 1;
		arguments[0] = 1;
		wrong += guard_call(add_up, arguments, &result, SERVICE_NONE) != 0;
		wrong += result != 1 + 4 + 9 + 16 + 25 + 6ull * i;
	}
	return wrong;
}

static void fault_together(void *argument)
{
	struct party *party = argument;

	// All CPUs begin at once.
	__atomic_fetch_add(&parties[0].ready, 1, __ATOMIC_ACQ_REL);
	while (load_acquire(&parties[0].ready) < cpu_count()) {
		thread_yield();
	}
	party->wrong += alternate(fail_check, 0xbad, FAULTS_PER_CPU);
	party->wrong += alternate(read_nothing, UNMAPPED, 2);
	party->wrong += alternate(run_nothing, UNMAPPED, 2);
	event_signal(&party->done);
}

const char *exercise_guard(void)
{
	uint64_t before = guard_contained_count();
	uint32_t wrong = 0;

	memset(parties, 0, sizeof(parties));
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		thread_create("faulty", fault_together, &parties[cpu], SCHED_PRIORITY_PIPELINE, (int)cpu, 0);
	}
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		if (!event_wait_timeout(&parties[cpu].done, PATIENCE_NS)) {
			return "a faulting thread never ended";
		}
		wrong += parties[cpu].wrong;
	}
	if (wrong != 0) {
		return "a call came back with the wrong answer";
	}
	uint64_t expected = (uint64_t)(FAULTS_PER_CPU + 4) * cpu_count();
	return guard_contained_count() - before == expected ? NULL : "faults were miscounted";
}

static uint64_t nest(uint64_t depth, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	uint64_t arguments[6] = {depth - 1, b, c, d, e, f};
	uint64_t result = 0;

	if (depth == 0) {
		return fail_check(b, c, d, e, f, 0);
	}
	int faulted = guard_call(nest, arguments, &result, SERVICE_NONE);
	// The innermost guard catches; each level outside it returns.
	return faulted ? 100 : result + 1;
}

const char *exercise_guard_nested(void)
{
	uint64_t arguments[6] = {4, 0, 0, 0, 0, 0};
	uint64_t result = 0;

	if (guard_call(nest, arguments, &result, SERVICE_NONE) != 0) {
		return "the outer guard saw the inner one's fault";
	}
	return result == 103 ? NULL : "not every level came back";
}

const char *exercise_guard_overflow(void)
{
	return alternate(recurse, 0, 3) == 0 ? NULL : "a stack overflow was not contained";
}

static void fill_fp(uint64_t seed)
{
	__asm__ volatile(".arch_extension fp\n\t.arch_extension simd\n\t"
			 "dup v0.2d, %0\n\tdup v7.2d, %0\n\tdup v8.2d, %0\n\tdup v31.2d, %0" ::"r"(seed));
}

static bool check_fp(uint64_t seed)
{
	uint64_t a, b, c, d;

	__asm__ volatile(".arch_extension fp\n\t.arch_extension simd\n\t"
			 "umov %0, v0.d[1]\n\tumov %1, v7.d[0]\n\tumov %2, v8.d[1]\n\t"
			 "umov %3, v31.d[1]"
			 : "=r"(a), "=r"(b), "=r"(c), "=r"(d));
	return a == seed && b == seed && c == seed && d == seed;
}

static void use_fp(void *argument)
{
	struct party *party = argument;
	uint64_t seed = 0x0123456789abcdefull ^ (uint64_t)(party - parties) << 32;

	for (uint32_t i = 0; i < 40; i++) {
		fill_fp(seed + i);
		uint64_t until_ns = arch_now_ns() + SCHED_SLICE_NS / 3;
		while (arch_now_ns() < until_ns) {
			// preempted here, by one that does the same
		}
		if (i % 4 == 0) {
			thread_sleep_ns(1000);
		}
		party->wrong += !check_fp(seed + i);
	}
	event_signal(&party->done);
}

const char *exercise_fp(void)
{
	uint32_t wrong = 0;

	memset(parties, 0, sizeof(parties));
	// More than one per CPU, so that they must share the registers.
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		thread_create("fp", use_fp, &parties[i], SCHED_PRIORITY_LOW, (int)(i % 2 == 0 ? 0 : cpu_count() - 1),
			      THREAD_FP);
	}
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		if (!event_wait_timeout(&parties[i].done, PATIENCE_NS)) {
			return "an FP thread never ended";
		}
		wrong += parties[i].wrong;
	}
	return wrong == 0 ? NULL : "FP registers changed over a switch";
}

const char *exercise_pages(void)
{
	void *blocks[64];
	uint64_t before = page_free_bytes();

	for (unsigned i = 0; i < 64; i++) {
		blocks[i] = page_alloc(i % 4);
		if (blocks[i] == NULL || (uint64_t)blocks[i] % (PAGE_BYTES << i % 4) != 0) {
			return "no block, or one out of place";
		}
		memset(blocks[i], (int)i, PAGE_BYTES << i % 4);
	}
	for (unsigned i = 0; i < 64; i++) {
		const uint8_t *bytes = blocks[i];
		if (bytes[0] != i || bytes[(PAGE_BYTES << i % 4) - 1] != i) {
			return "blocks overlap";
		}
		page_free(blocks[i]);
	}
	return page_free_bytes() == before ? NULL : "pages were lost";
}

extern uint8_t image_start[];

// The walk finds a page that is writable and executable when there is one.
// (SCTLR_EL1.WXN keeps it from being executed all the same.)
const char *exercise_wxorx(void)
{
	static uint8_t data[1];
	uint64_t *entry = mmu_leaf(data);

	if (!mmu_verify_wxorx()) {
		return "a page is writable and executable";
	}
	if (entry == NULL || mmu_leaf((void *)UNMAPPED) != NULL) {
		return "the tables do not say what is mapped";
	}
	*entry &= ~MMU_NO_EXECUTE;
	bool missed = mmu_verify_wxorx();
	*entry |= MMU_NO_EXECUTE;
	if (missed) {
		return "the walk overlooked a writable and executable page";
	}
	return mmu_verify_wxorx() ? NULL : "a page stayed writable and executable";
}

static uint64_t fail_locked(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	static struct spinlock lock;

	spin_lock_irqsave(&lock);
	return fail_check(a, b, c, d, e, f);
}

const char *exercise_die(void)
{
	const char *how = exercise_argument + 4; // after "die-"
	static uint32_t instruction = 0xd65f03c0; // ret, in writable memory
	uint64_t arguments[6] = {0};
	uint64_t result;

	switch (how[0]) {
	case 'p':
		panic("asked for by the command line");
	case 'w':
		*(volatile uint32_t *)image_start = 0;
		break;
	case 'r':
		((void (*)(void))(uintptr_t)&instruction)();
		break;
	case 's':
		descend(0);
		break;
	case 'n':
		*(volatile uint32_t *)UNMAPPED = 0;
		break;
	case 'f':
		fill_fp(1);
		break;
	case 'g':
		guard_call(fail_locked, arguments, &result, SERVICE_PIPELINE);
		break;
	}
	return "still alive";
}
