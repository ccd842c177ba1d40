// Numbers that assembly and C share; offsets.c asserts that they agree with
// the C structures. Also the layout of stacks, which the exception entry
// tests by address bits.
#ifndef KERNEL_ARCH_ARM64_OFFSETS_H
#define KERNEL_ARCH_ARM64_OFFSETS_H

// A stack slot is aligned to its size; its lowest page is never mapped:
//
//   slot + 32 KiB  top, 28 KiB of stack below
//   slot +  4 KiB  lowest stack byte
//   slot           guard page
//
// An address is in a guard page when bits 14..12 are all zero.
#define STACK_SLOT_SHIFT 15
#define STACK_SLOT_BYTES 32768
#define STACK_GUARD_BYTES 4096
#define STACK_GUARD_MASK 0x7000
// One slot per thread, then two per CPU: boot (later idle) and exceptions.
#define STACK_THREADS 64
#define STACK_SLOTS (64 + 2 * 8)

// struct percpu
#define PERCPU_CURRENT 0
#define PERCPU_EXCEPTION_STACK 8

// struct thread
#define THREAD_SAVED 0 // x19..x30 and sp, 13 words
#define THREAD_GUARD 104

// struct trap_frame
#define FRAME_SP 248
#define FRAME_PC 256
#define FRAME_STATE 264
#define FRAME_SYNDROME 272
#define FRAME_ADDRESS 280
#define FRAME_BYTES 288

// struct guard_link, on the stack of guard_call
#define GUARD_FRAME 0 // x29, x30, then x19..x28
#define GUARD_PREVIOUS 96
#define GUARD_SERVICE 104
#define GUARD_RESULT 112
#define GUARD_INTERRUPTS 120
#define GUARD_BYTES 128

#endif
