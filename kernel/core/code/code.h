// Pages for compiled programs: one set per slot index of the hook, from a
// static pool.
//
// W^X holds at every moment: a set is writable and never executable while it is
// filled, then read-only and executable; it has one address, so no alias stays
// writable. Who loads must know that no CPU is inside (hook_quiescent).
//
// Compiled code is a leaf function that writes only the registers a callee may
// spoil (kernel/svc/jit/arm64/compile.go). A fault inside it therefore needs no
// saved state: x29 and x30 still are what code_call made them, and the trap
// handler returns to the end of code_call (code_accept_fault). Asking for a
// guard per packet would cost more than most programs.
#ifndef KERNEL_CORE_CODE_CODE_H
#define KERNEL_CORE_CODE_CODE_H

#include <stdbool.h>
#include <stdint.h>

struct abi_net_rx_context;
struct trap_frame;

enum {
	CODE_SLOTS = 4, // slot indices; 0 has no program and is for exercises
	CODE_SLOT_BYTES = 16384,
};

typedef uint64_t (*code_function)(const struct abi_net_rx_context *context, const uint8_t *packet, uint64_t bytes);

// Copies the code into the slot's pages and makes them executable. NULL when it
// does not fit. Every CPU must pass code_synchronize before it runs the code.
code_function code_load(uint32_t slot, const uint8_t *bytes, uint32_t count);

// Makes the slot's pages writable again, and never executable while they are.
void code_drop(uint32_t slot);

// Calls compiled code; after a fault it returns ABI_NET_RX_ABORTED, and
// code_contain then is true.
uint64_t code_call(const struct abi_net_rx_context *context, const uint8_t *packet, uint64_t bytes,
		   code_function function);

// True once after a fault, which is then logged and handed to fault_contained.
bool code_contain(void);

// A context synchronization event, by which this CPU sees code that another
// has written (Arm ARM B2.4.4).
static inline void code_synchronize(void)
{
#ifdef __aarch64__
	__asm__ volatile("isb" ::: "memory");
#endif
}

// For the trap handler: if the fault is one of compiled code, changes the frame
// so that code_call returns, and remembers the fault.
bool code_accept_fault(struct trap_frame *frame, uint32_t entry);

#endif
