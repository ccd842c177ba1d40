// The registers of interrupted code, as vectors.S stores them.
#ifndef KERNEL_ARCH_ARM64_TRAP_FRAME_H
#define KERNEL_ARCH_ARM64_TRAP_FRAME_H

#include <stdint.h>

struct trap_frame {
	uint64_t x[31];
	uint64_t sp;
	uint64_t pc;	     // ELR_EL1
	uint64_t state; // SPSR_EL1
	uint64_t syndrome; // ESR_EL1, synchronous faults only
	uint64_t address;  // FAR_EL1, synchronous faults only
};

// The registers guard_call keeps on its caller's stack.
struct guard_link {
	uint64_t frame_pointer, return_address;
	uint64_t saved[10]; // x19..x28
	struct guard_link *previous;
	uint64_t service;
	uint64_t *result;
	uint64_t interrupts; // DAIF at the call
};

// How vectors.S says it got there.
enum trap_entry {
	TRAP_ENTRY_FAULT = 0,
	TRAP_ENTRY_STACK = 1,      // the frame is on the exception stack
	TRAP_ENTRY_UNEXPECTED = 2, // a vector this kernel does not use
};

// Exception class, ESR_EL1[31:26].
#define TRAP_CLASS(syndrome) ((uint32_t)((syndrome) >> 26) & 0x3f)
#define TRAP_CLASS_FP_ACCESS 0x07
#define TRAP_CLASS_FETCH_ABORT 0x21
#define TRAP_CLASS_PC_ALIGNMENT 0x22
#define TRAP_CLASS_DATA_ABORT 0x25
#define TRAP_CLASS_SP_ALIGNMENT 0x26
#define TRAP_CLASS_BREAK 0x3c

#endif
