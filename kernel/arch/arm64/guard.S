// guard_call and its way back. The record sits on the caller's stack and is
// linked from the thread, so guards nest and four CPUs need no lock. The way
// back restores every callee-saved register and the stack pointer; all that
// the service pushed is forgotten.

#include "arch/arm64/offsets.h"

	.text
	.globl guard_call
	.type guard_call, %function
// (function, arguments[6], result *, service)
guard_call:
	stp x29, x30, [sp, #-GUARD_BYTES]!
	mov x29, sp
	stp x19, x20, [sp, #16]
	stp x21, x22, [sp, #32]
	stp x23, x24, [sp, #48]
	stp x25, x26, [sp, #64]
	stp x27, x28, [sp, #80]
	mrs x9, tpidr_el1
	ldr x9, [x9, #PERCPU_CURRENT]
	ldr x10, [x9, #THREAD_GUARD]
	mrs x11, daif
	stp x10, x3, [sp, #GUARD_PREVIOUS]
	stp x2, x11, [sp, #GUARD_RESULT]
	str x29, [x9, #THREAD_GUARD]
	mov x8, x0
	ldp x4, x5, [x1, #32]
	ldp x2, x3, [x1, #16]
	ldp x0, x1, [x1]
	blr x8
	mrs x9, tpidr_el1
	ldr x9, [x9, #PERCPU_CURRENT]
	ldr x10, [sp, #GUARD_PREVIOUS]
	ldr x11, [sp, #GUARD_RESULT]
	str x10, [x9, #THREAD_GUARD]
	str x0, [x11]
	mov w0, #0
	ldp x29, x30, [sp], #GUARD_BYTES
	ret
	.size guard_call, . - guard_call

// x0 = the guard record, interrupts masked, on any stack.
	.globl guard_unwind
	.type guard_unwind, %function
guard_unwind:
	mov sp, x0
	mov x29, x0
	ldp x19, x20, [sp, #16]
	ldp x21, x22, [sp, #32]
	ldp x23, x24, [sp, #48]
	ldp x25, x26, [sp, #64]
	ldp x27, x28, [sp, #80]
	mrs x9, tpidr_el1
	ldr x9, [x9, #PERCPU_CURRENT]
	ldr x10, [sp, #GUARD_PREVIOUS]
	str x10, [x9, #THREAD_GUARD]
	ldr x11, [sp, #GUARD_INTERRUPTS]
	msr daif, x11
	bl guard_contained
	mov w0, #1
	ldp x29, x30, [sp], #GUARD_BYTES
	ret
	.size guard_unwind, . - guard_unwind
