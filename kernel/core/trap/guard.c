// Containment of service faults: which fault may be contained, what is kept of
// it, and what happens afterwards. The register work is in arch/arm64/guard.S.

#include "core/trap/guard.h"

#include <stdbool.h>
#include <stddef.h>

#include "abi/gen/abi.h"
#include "arch/arm64/arch.h"
#include "arch/arm64/offsets.h"
#include "arch/arm64/stack.h"
#include "core/code/code.h"
#include "core/log/log.h"
#include "core/sched/thread.h"
#include "core/symbols/symbols.h"
#include "core/trap/trace.h"
#include "core/trap/trap.h"

static uint64_t contained;

const char *service_name(unsigned service)
{
	static const char *const names[] = {"none", "net_rx", "pipeline", "control"};

	return service < sizeof(names) / sizeof(names[0]) ? names[service] : "unknown";
}

uint64_t guard_contained_count(void)
{
	return __atomic_load_n(&contained, __ATOMIC_RELAXED);
}

// The address is in a guard page below one of the stacks.
static bool in_guard_page(uint64_t address)
{
	uint64_t at = address - (uint64_t)stack_slots;

	return address >= (uint64_t)stack_slots && at < (uint64_t)STACK_SLOTS * STACK_SLOT_BYTES &&
	       at % STACK_SLOT_BYTES < STACK_GUARD_BYTES;
}

uint32_t fault_cause(const struct trap_frame *frame, uint32_t entry)
{
	if (entry == TRAP_ENTRY_STACK) {
		return GUARD_CAUSE_STACK;
	}
	switch (TRAP_CLASS(frame->syndrome)) {
	case TRAP_CLASS_BREAK:
		return GUARD_CAUSE_PANIC;
	case TRAP_CLASS_DATA_ABORT:
		return in_guard_page(frame->address) ? GUARD_CAUSE_STACK : GUARD_CAUSE_DATA_ABORT;
	case TRAP_CLASS_FETCH_ABORT:
		return GUARD_CAUSE_FETCH_ABORT;
	default:
		return GUARD_CAUSE_OTHER;
	}
}

// Services may have scribbled over anything below them; the record must at
// least be on this thread's stack.
static bool on_stack_of(const struct thread *thread, const void *address)
{
	uint64_t top = thread->stack_top;
	uint64_t at = (uint64_t)address;

	return at % 16 == 0 && at < top && at >= top - STACK_SLOT_BYTES + STACK_GUARD_BYTES;
}

static void keep(struct thread *thread, uint64_t service, const struct trap_frame *frame, uint32_t cause)
{
	struct guard_fault *fault = &thread->fault;
	uint32_t frames = 0;

	*fault = (struct guard_fault){
		.service = (uint32_t)service,
		.cpu = thread->cpu,
		.cause = cause,
		.pc = frame->pc,
		.syndrome = frame->syndrome,
		.address = cause == GUARD_CAUSE_PANIC ? 0 : frame->address,
		.instructions = arch_instructions(),
	};
	// A leaf function has its return address in x30 only; where the chain
	// holds it too, it is told once.
	fault->trace[frames++] = frame->x[30];
	uint64_t chain[GUARD_TRACE_FRAMES];
	uint32_t count = trace_walk(frame->x[29], chain, GUARD_TRACE_FRAMES);
	for (uint32_t i = 0; i < count && frames < GUARD_TRACE_FRAMES; i++) {
		if (i > 0 || chain[i] != frame->x[30]) {
			fault->trace[frames++] = chain[i];
		}
	}
	fault->frames = frames;
}

struct guard_link *guard_accept(const struct trap_frame *frame, uint32_t entry)
{
	struct thread *thread = thread_current();
	struct guard_link *guard = thread != NULL ? thread->guard : NULL;

	// Not contained: interrupt handlers, faults of fault_contained itself,
	// and code that masked interrupts since the guard began, because it may
	// hold a lock that nobody would release.
	if (guard == NULL || this_cpu()->irq_depth != 0 || thread->reporting_fault || entry == TRAP_ENTRY_UNEXPECTED ||
	    !on_stack_of(thread, guard) || irq_state_masked(frame->state) != irq_state_masked(guard->interrupts)) {
		return NULL;
	}
	keep(thread, guard->service, frame, fault_cause(frame, entry));
	return guard;
}

extern uint8_t code_pages[], code_pages_end[], code_return[];

// Compiled code spoils no callee-saved register, so x29 and x30 are those of
// code_call: with both in place, going on at code_return is all it takes.
bool code_accept_fault(struct trap_frame *frame, uint32_t entry)
{
	struct thread *thread = thread_current();

	if (frame->pc < (uint64_t)code_pages || frame->pc >= (uint64_t)code_pages_end || thread == NULL ||
	    this_cpu()->irq_depth != 0 || thread->reporting_fault || entry == TRAP_ENTRY_UNEXPECTED ||
	    frame->x[30] != (uint64_t)code_return || !on_stack_of(thread, (const void *)frame->x[29])) {
		return false;
	}
	keep(thread, SERVICE_NET_RX, frame, fault_cause(frame, entry));
	thread->code_faulted = true;
	frame->x[0] = ABI_NET_RX_ABORTED;
	frame->pc = frame->x[30];
	return true;
}

bool code_contain(void)
{
	struct thread *thread = thread_current();

	if (!thread->code_faulted) {
		return false;
	}
	thread->code_faulted = false;
	guard_contained();
	return true;
}

static void log_fault(const struct guard_fault *fault)
{
	uint64_t offset;
	const char *name = symbol_lookup(fault->pc, &offset);

	log_line("fault: service %s on cpu %u in %s+%llx, cause %u, esr %llx, far %llx", service_name(fault->service),
		 fault->cpu, name, (unsigned long long)offset, fault->cause, (unsigned long long)fault->syndrome,
		 (unsigned long long)fault->address);
	for (uint32_t i = 0; i < fault->frames; i++) {
		name = symbol_lookup(fault->trace[i], &offset);
		log_line("fault:   from %s+%llx", name, (unsigned long long)offset);
	}
}

// On the thread, after the guard was unwound; interrupts as at the call.
void guard_contained(void)
{
	struct thread *thread = thread_current();

	__atomic_fetch_add(&contained, 1, __ATOMIC_RELAXED);
	thread->reporting_fault = true;
	log_fault(&thread->fault);
	fault_contained(&thread->fault);
	thread->reporting_fault = false;
}

__attribute__((weak)) void fault_contained(const struct guard_fault *fault)
{
	log_line("fault: nobody resets service %s", service_name(fault->service));
}
