// Faults on purpose, so that suites can see what the kernel does about them.
// Each is a real fault by the ordinary mechanism; nothing here knows how it is
// handled.
//
//	service panic   one thread per CPU of the mask; all meet at a barrier and
//	                then run into an out-of-bounds index `count` times
//	kernel panic    a store to an address that nothing maps
//	spin            a low-priority thread per CPU that never yields, for
//	                `argument` microseconds, 0 = for ever
//	hang            interrupts off and an endless loop on each CPU of the mask
//	stack overflow  recursion until the guard page
//	net.rx panic    arms the packet path's service on each CPU of the mask: its
//	                next `count` programs index out of bounds, see kernel/rt/entry
//	pump panic      the same for the pipeline's next `count` steps
#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/control/control.h"
#include "core/control/internal.h"
#include "core/lib/string.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "core/trap/guard.h"
#include "rt/services.h"

enum {
	COUNT_MAX = 100000,
	BARRIER_POLLS_MAX = 100000, // a CPU that never comes must not stop the others
	OUT_OF_BOUNDS = 1000,	      // the service's table has fewer entries
	ANSWER_LEAD_NS = 50000000,  // the reply leaves before the machine dies
	NS_PER_US = 1000,
	PIPELINE_CPUS = 1, // the pipeline's thread never leaves CPU 0
};

static struct {
	struct abi_plant_request request;
	uint32_t sequence;
	uint32_t expected, arrived, finished;
	uint64_t contained, marks;
	bool busy;
} plant;

static void meet(void)
{
	__atomic_fetch_add(&plant.arrived, 1, __ATOMIC_ACQ_REL);
	for (uint32_t polls = 0; polls < BARRIER_POLLS_MAX && load_acquire(&plant.arrived) < plant.expected; polls++) {
		arch_relax();
	}
}

// Answers. The next plant may come with the answer, so the place is free first;
// what the answer needs was copied before.
static void end_plant(int32_t code, const uint64_t values[4])
{
	uint32_t sequence = plant.sequence;

	store_release(&plant.busy, false);
	control_reply_install(sequence, code, values);
}

// The last thread answers: how many panics were contained, how many marks
// were left in the services' state (0 = each reset worked), how many CPUs.
static void finish_panics(void)
{
	uint32_t finished = __atomic_add_fetch(&plant.finished, 1, __ATOMIC_ACQ_REL);
	uint64_t wanted = (uint64_t)plant.request.count * plant.expected;
	uint64_t values[4];

	if (finished != plant.expected) {
		return;
	}
	values[0] = __atomic_load_n(&plant.contained, __ATOMIC_ACQUIRE);
	values[1] = __atomic_load_n(&plant.marks, __ATOMIC_ACQUIRE);
	values[2] = plant.expected;
	values[3] = wanted;
	end_plant(values[0] == wanted && values[1] == 0 ? ABI_OK : ABI_ERR_PANIC, values);
}

static void panic_thread(void *unused)
{
	uint64_t argument = plant.request.argument ? plant.request.argument : OUT_OF_BOUNDS;
	const uint64_t arguments[6] = {ABI_PLANT_SERVICE_PANIC, argument, cpu_id(), 0, 0, 0};
	const uint64_t mark_arguments[6] = {cpu_id(), 0, 0, 0, 0, 0};
	uint64_t contained = 0, marks = 0, result;

	(void)unused;
	meet();
	for (uint32_t i = 0; i < plant.request.count; i++) {
		contained += guard_call(svc_plant, arguments, &result, SERVICE_CONTROL) != 0;
	}
	if (guard_call(svc_plant_marks, mark_arguments, &marks, SERVICE_CONTROL) != 0) {
		marks = UINT32_MAX;
	}
	__atomic_fetch_add(&plant.contained, contained, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&plant.marks, marks, __ATOMIC_ACQ_REL);
	finish_panics();
}

static void spin_thread(void *limit_us)
{
	uint64_t limit_ns = (uintptr_t)limit_us * NS_PER_US;
	uint64_t begin = arch_now_ns();

	while (limit_ns == 0 || arch_now_ns() - begin < limit_ns) {
	}
}

static void kernel_panic_thread(void *unused)
{
	(void)unused;
	thread_sleep_ns(ANSWER_LEAD_NS);
	*(volatile uint32_t *)(uintptr_t)0x40 = 1;
}

static void hang_thread(void *unused)
{
	(void)unused;
	thread_sleep_ns(ANSWER_LEAD_NS);
	irq_save();
	for (;;) {
		__asm__ volatile("" ::: "memory");
	}
}

// Not a tail call: each level keeps its frame. The end is for the compiler;
// the guard page comes some 2^64 levels earlier.
static __attribute__((noinline)) uint64_t descend(volatile uint64_t depth)
{
	volatile uint64_t frame[16];

	frame[depth % 16] = depth;
	if (depth == UINT64_MAX) {
		return 0;
	}
	return descend(depth + 1) + frame[depth % 16];
}

static void stack_overflow_thread(void *unused)
{
	(void)unused;
	thread_sleep_ns(ANSWER_LEAD_NS);
	descend(0);
}

// Starts `entry` on each CPU of the mask; answers how many. The argument goes
// with it: `plant` may belong to the next request before the thread runs.
static uint32_t start_on(uint32_t mask, const char *name, void (*entry)(void *), unsigned priority)
{
	void *argument = (void *)(uintptr_t)plant.request.argument;
	uint32_t started = 0;

	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		if (mask & (1u << cpu)) {
			started += thread_create(name, entry, argument, priority, (int)cpu, 0) != 0;
		}
	}
	return started;
}

static void plant_panics(uint32_t mask)
{
	plant.expected = (uint32_t)__builtin_popcount(mask);
	plant.arrived = plant.finished = 0;
	plant.contained = plant.marks = 0;
	if (start_on(mask, "plant.panic", panic_thread, SCHED_PRIORITY_PIPELINE) != plant.expected) {
		// Those that did start never finish as many as expected: the place
		// stays taken, and nobody overwrites what they read.
		control_reply_error(plant.sequence, ABI_ERR_NO_SPACE, UINT32_MAX);
	}
}

// Arms a service on each CPU of the mask; on those CPUs nothing happens yet.
static void arm_service(uint32_t mask)
{
	uint64_t values[4] = {0}, answer = 0;
	int32_t code = ABI_OK;

	for (uint32_t cpu = 0; cpu < cpu_count() && code == ABI_OK; cpu++) {
		const uint64_t arguments[6] = {plant.request.kind, plant.request.count, cpu, 0, 0, 0};

		if (mask & (1u << cpu)) {
			code = guard_call(svc_plant, arguments, &answer, SERVICE_CONTROL) == 0
				       ? (int32_t)(uint32_t)answer
				       : ABI_ERR_PANIC;
			values[0] += code == ABI_OK;
			if (code == ABI_OK && plant.request.kind == ABI_PLANT_NET_RX_PANIC) {
				hook_interpret(cpu, plant.request.count != 0 ? plant.request.count : 1);
			}
		}
	}
	end_plant(code, values);
}

static void start_plant(uint32_t mask)
{
	uint32_t first = mask & -mask;

	switch (plant.request.kind) {
	case ABI_PLANT_SERVICE_PANIC:
		plant_panics(mask);
		return; // answered by the last thread
	case ABI_PLANT_NET_RX_PANIC:
	case ABI_PLANT_PUMP_PANIC:
		arm_service(mask);
		return;
	case ABI_PLANT_KERNEL_PANIC:
		start_on(first, "plant.fault", kernel_panic_thread, SCHED_PRIORITY_CONTROL);
		break;
	case ABI_PLANT_SPIN:
		start_on(mask, "plant.spin", spin_thread, SCHED_PRIORITY_LOW);
		break;
	case ABI_PLANT_HANG:
		start_on(mask, "plant.hang", hang_thread, SCHED_PRIORITY_CONTROL);
		break;
	default:
		start_on(first, "plant.stack", stack_overflow_thread, SCHED_PRIORITY_CONTROL);
		break;
	}
	end_plant(ABI_OK, 0);
}

void plant_handle(const struct control_frame *frame)
{
	struct abi_plant_request request;
	uint32_t mask;

	if (frame->header.length != sizeof request) {
		control_reply_error(frame->header.sequence, ABI_ERR_BAD_LENGTH, 0);
		return;
	}
	memcpy(&request, frame->payload, sizeof request);
	mask = request.cpu_mask & ((1u << cpu_count()) - 1);
	if (request.kind < ABI_PLANT_SERVICE_PANIC || request.kind > ABI_PLANT_PUMP_PANIC || mask == 0 ||
	    request.count > COUNT_MAX || (request.kind == ABI_PLANT_PUMP_PANIC && mask != PIPELINE_CPUS)) {
		control_reply_error(frame->header.sequence, ABI_ERR_BAD_VALUE, 0);
		return;
	}
	if (load_acquire(&plant.busy)) {
		control_reply_error(frame->header.sequence, ABI_ERR_BUSY, UINT32_MAX);
		return;
	}
	plant.busy = true;
	plant.request = request;
	plant.request.count += request.count == 0; // none named: once
	plant.sequence = frame->header.sequence;
	start_plant(mask);
}
