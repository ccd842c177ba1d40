// Exercise of compiled code: its pages, its faults, its place among the CPUs.

#include <stddef.h>
#include <stdint.h>

#include "abi/gen/abi.h"
#include "arch/arm64/arch.h"
#include "arch/arm64/mmu.h"
#include "core/code/code.h"
#include "core/exercise/exercise.h"
#include "core/lib/string.h"
#include "core/sched/sched.h"
#include "core/trap/guard.h"

#define PATIENCE_NS 60000000000ull
#define CALLS 200

// What each CPU runs at once; they all expect what was loaded last.
static struct {
	code_function function;
	uint64_t expected;
	uint32_t wrong;
	struct event done[CPUS_MAX];
} round;

static uint64_t store_to(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	(void)b, (void)c, (void)d, (void)e, (void)f;
	*(volatile uint32_t *)a = 0;
	return 0;
}

static void call_many(void *done)
{
	for (unsigned i = 0; i < CALLS; i++) {
		code_synchronize();
		if (code_call(NULL, NULL, 0, round.function) != round.expected || code_contain()) {
			__atomic_fetch_add(&round.wrong, 1, __ATOMIC_RELAXED);
		}
	}
	event_signal(done);
}

// `mov w0, #number; ret`, on every CPU while others run it.
static const char *run_everywhere(uint32_t number)
{
	const uint32_t words[2] = {0x52800000 | number << 5, 0xd65f03c0};

	round.function = code_load(0, (const uint8_t *)words, sizeof words);
	round.expected = number;
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		thread_create("coded", call_many, &round.done[cpu], SCHED_PRIORITY_PIPELINE, (int)cpu, 0);
	}
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		if (!event_wait_timeout(&round.done[cpu], PATIENCE_NS)) {
			return "a thread never came back from compiled code";
		}
	}
	return round.wrong == 0 ? NULL : "a CPU ran what was there before";
}

// Each ends in a fault after it has moved the stack pointer.
static const uint32_t faulty[][5] = {
	{0xd10803ff, 0xf9400001, 0xd65f03c0, 0xd65f03c0, 0xd65f03c0}, // sub sp, sp, #512; ldr x1, [x0]
	{0xd10803ff, 0xd4200020, 0xd65f03c0, 0xd65f03c0, 0xd65f03c0}, // sub sp, sp, #512; brk #1
	{0xd10803ff, 0x00000000, 0xd65f03c0, 0xd65f03c0, 0xd65f03c0}, // sub sp, sp, #512; udf #0
	{0xd503201f, 0xd503201f, 0xd503201f, 0xd503201f, 0xd503201f}, // nop, and off the end
};

const char *exercise_code(void)
{
	const struct abi_net_rx_context *nowhere = (const void *)0xffff7fff00000000ull;
	uint64_t before = guard_contained_count();
	const uint64_t store[6] = {(uint64_t)code_load(0, (const uint8_t *)faulty[0], sizeof faulty[0])};
	uint64_t result;

	if (code_load(0, (const uint8_t *)faulty, CODE_SLOT_BYTES + 4) != NULL) {
		return "code longer than its pages was loaded";
	}
	for (unsigned i = 0; i < sizeof faulty / sizeof faulty[0]; i++) {
		code_function function = code_load(0, (const uint8_t *)faulty[i], sizeof faulty[i]);
		if (!mmu_verify_wxorx()) {
			return "a page is writable and executable";
		}
		if (code_call(nowhere, NULL, 0, function) != ABI_NET_RX_ABORTED || !code_contain() || code_contain()) {
			return "a fault of compiled code was not contained once";
		}
	}
	if (guard_call(store_to, store, &result, SERVICE_NONE) != 1) {
		return "code was written to where it runs";
	}
	code_drop(0);
	if (code_call(nowhere, NULL, 0, (code_function)store[0]) != ABI_NET_RX_ABORTED || !code_contain()) {
		return "pages to be written could be run";
	}
	if (guard_contained_count() - before != 6) {
		return "faults were miscounted";
	}
	memset(&round, 0, sizeof round);
	for (uint32_t number = 1; number <= 20; number++) {
		const char *wrong = run_everywhere(number);
		if (wrong != NULL) {
			return wrong;
		}
	}
	code_drop(0);
	return mmu_verify_wxorx() ? NULL : "a page stayed writable and executable";
}
