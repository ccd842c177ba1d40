// Calls into Go services that survive a panic of the service.
//
// A Go panic is `brk #1`; a wild access is an abort; a runaway recursion hits
// the stack's guard page. While a guard is active on the thread, each of these
// abandons the service's frames and makes guard_call return 1. What the
// service's own state looks like then is unknown: it must be reset.
#ifndef KERNEL_CORE_TRAP_GUARD_H
#define KERNEL_CORE_TRAP_GUARD_H

#include <stdint.h>

#define SERVICE_NONE 0
#define SERVICE_NET_RX 1
#define SERVICE_PIPELINE 2
#define SERVICE_CONTROL 3

enum guard_cause {
	GUARD_CAUSE_PANIC = 1,       // brk #1: a check compiled into the service
	GUARD_CAUSE_DATA_ABORT = 2,
	GUARD_CAUSE_FETCH_ABORT = 3,
	GUARD_CAUSE_STACK = 4,       // the guard page below the thread's stack
	GUARD_CAUSE_OTHER = 5,       // undefined instruction, FP use, alignment
};

#define GUARD_TRACE_FRAMES 8

struct guard_fault {
	uint32_t service;
	uint32_t cpu;
	uint32_t cause; // enum guard_cause
	uint32_t frames;
	uint64_t pc;    // ELR_EL1
	uint64_t syndrome; // ESR_EL1
	uint64_t address;  // FAR_EL1, 0 for a panic
	uint64_t instructions; // when it happened
	uint64_t trace[GUARD_TRACE_FRAMES]; // return addresses, innermost first
};

typedef uint64_t (*guard_function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

// 0: returned, *result is set. 1: a fault was contained, logged and handed to
// fault_contained. Nests; thread context only. Interrupts must be in the same
// state when the service faults as they were here, else the kernel panics:
// a service that faults below a C lock cannot be contained.
int guard_call(guard_function function, const uint64_t arguments[6], uint64_t *result, unsigned service);

// Called on the thread after containment, outside the failed guard. A fault
// of a guarded call made from here is a kernel panic. The weak default logs.
void fault_contained(const struct guard_fault *fault);

// Name of a service number, for logs.
const char *service_name(unsigned service);

// Faults contained since boot.
uint64_t guard_contained_count(void);

#endif
