// From the vectors into C.
#ifndef KERNEL_CORE_TRAP_TRAP_H
#define KERNEL_CORE_TRAP_TRAP_H

#include <stdarg.h>
#include <stdint.h>

#include "arch/arm64/trap_frame.h"

void trap_interrupt(struct trap_frame *frame);

// A synchronous fault: returns the guard to unwind to, or NULL when the frame
// was changed to go on in code_call, or panics.
struct guard_link *trap_fault(struct trap_frame *frame, uint32_t entry);

// NULL: the fault cannot be contained.
struct guard_link *guard_accept(const struct trap_frame *frame, uint32_t entry);
void guard_contained(void);
uint32_t fault_cause(const struct trap_frame *frame, uint32_t entry);

// Panic with the registers of a frame; `why` is one line.
_Noreturn void panic_with_frame(const struct trap_frame *frame, const char *why);

// The interrupt that stops this CPU because another panics.
_Noreturn void panic_stop(void);

#endif
