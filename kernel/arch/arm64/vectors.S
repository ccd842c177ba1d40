// Exception entry. Exceptions from the kernel arrive on the stack of the
// thread that took them; if that stack is used up the frame goes to the CPU's
// exception stack instead, so that the overflow is reported and not repeated.

#include "arch/arm64/offsets.h"

// Make room for the frame; to stack_overflow if less than \headroom bytes
// would be left below it. TPIDRRO_EL0 and TPIDR_EL0 lend registers: there is
// no user space to miss them.
.macro entry headroom
	sub sp, sp, #FRAME_BYTES
	msr tpidrro_el0, x0
	sub x0, sp, #\headroom
	tst x0, #STACK_GUARD_MASK
	b.eq stack_overflow
	mrs x0, tpidrro_el0
.endm

.macro save_frame
	stp x0, x1, [sp, #0]
	stp x2, x3, [sp, #16]
	stp x4, x5, [sp, #32]
	stp x6, x7, [sp, #48]
	stp x8, x9, [sp, #64]
	stp x10, x11, [sp, #80]
	stp x12, x13, [sp, #96]
	stp x14, x15, [sp, #112]
	stp x16, x17, [sp, #128]
	stp x18, x19, [sp, #144]
	stp x20, x21, [sp, #160]
	stp x22, x23, [sp, #176]
	stp x24, x25, [sp, #192]
	stp x26, x27, [sp, #208]
	stp x28, x29, [sp, #224]
	add x21, sp, #FRAME_BYTES
	mrs x22, elr_el1
	mrs x23, spsr_el1
	stp x30, x21, [sp, #240]
	stp x22, x23, [sp, #FRAME_PC]
.endm

// All but sp, which the caller knows how to find.
.macro restore_frame
	ldp x22, x23, [sp, #FRAME_PC]
	msr elr_el1, x22
	msr spsr_el1, x23
	ldp x0, x1, [sp, #0]
	ldp x2, x3, [sp, #16]
	ldp x4, x5, [sp, #32]
	ldp x6, x7, [sp, #48]
	ldp x8, x9, [sp, #64]
	ldp x10, x11, [sp, #80]
	ldp x12, x13, [sp, #96]
	ldp x14, x15, [sp, #112]
	ldp x16, x17, [sp, #128]
	ldp x18, x19, [sp, #144]
	ldp x20, x21, [sp, #160]
	ldp x22, x23, [sp, #176]
	ldp x24, x25, [sp, #192]
	ldp x26, x27, [sp, #208]
	ldp x28, x29, [sp, #224]
	ldr x30, [sp, #240]
.endm

// A frame record that continues the interrupted function's chain, so that a
// back trace from a handler shows what it interrupted.
.macro link_frame
	stp x29, x22, [sp, #-16]!
	mov x29, sp
.endm

	.section .text.vectors, "ax"
	.balign 2048
	.globl exception_vectors
exception_vectors:
.macro vector label
	.balign 128
	b \label
.endm
	// From EL1 with SP_EL0: never used.
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	// From EL1 with SP_EL1: the kernel.
	vector synchronous_entry
	vector interrupt_entry
	vector unexpected_entry
	vector unexpected_entry
	// From EL0, 64 and 32 bits: no user space yet.
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry
	vector unexpected_entry

// A handler runs on the stack of the thread it interrupts. One without room for
// it has as good as overflowed, and is better told so outside the handler.
#define INTERRUPT_HEADROOM 2048

interrupt_entry:
	entry INTERRUPT_HEADROOM
	save_frame
	link_frame
	add x0, sp, #16
	bl trap_interrupt
	add sp, sp, #16
	restore_frame
	add sp, sp, #FRAME_BYTES
	eret

synchronous_entry:
	entry 0
	save_frame
	mov w1, #0 // not an overflow
fault:
	mrs x2, esr_el1
	mrs x3, far_el1
	stp x2, x3, [sp, #FRAME_SYNDROME]
	link_frame
	add x0, sp, #16
	// Returns the guard to unwind to, or NULL after a fault of compiled code
	// whose frame now leads to code_return; any other never returns.
	bl trap_fault
	cbnz x0, guard_unwind
	add sp, sp, #16
	restore_frame
	mov sp, x29 // also when the frame was on the exception stack
	eret

unexpected_entry:
	entry 0
	save_frame
	mov w1, #2
	b fault

// x0 is in TPIDRRO_EL0, sp is FRAME_BYTES below the value at the fault.
stack_overflow:
	msr tpidr_el0, x1
	add x0, sp, #FRAME_BYTES
	mrs x1, tpidr_el1
	ldr x1, [x1, #PERCPU_EXCEPTION_STACK]
	// A second overflow while the first is handled starts the exception
	// stack afresh: the report of the second is worth more than a loop.
	mov sp, x1
	sub sp, sp, #FRAME_BYTES
	save_frame
	str x0, [sp, #FRAME_SP]
	mrs x1, tpidrro_el0
	str x1, [sp, #0]
	mrs x1, tpidr_el0
	str x1, [sp, #8]
	mov w1, #1 // overflow
	b fault
