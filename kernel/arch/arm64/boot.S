// From reset to C. The boot CPU arrives by the arm64 Image protocol (x0 =
// device tree, MMU off, at the physical address the image is linked for);
// the others by PSCI CPU_ON (x0 = their struct percpu, virtual).
//
// Until mmu_init one coarse table serves both halves: gigabyte 0 as device,
// gigabyte 1 (the image, the stacks) as memory. Since virtual = physical +
// LINEAR_OFFSET, the same table is the identity map in TTBR0.

#include "arch/arm64/offsets.h"

#define LINEAR_OFFSET 0xffff000000000000
#define IMAGE_TEXT_OFFSET 0x200000
#define IMAGE_PHYSICAL 0x40200000

// Descriptor bits: [0] valid, [1] table/page, [4:2] MAIR index, [9:8] inner
// shareable, [10] access flag, [53] privileged execute never.
#define BLOCK_MEMORY 0x0701
#define BLOCK_DEVICE 0x0060000000000405
#define TABLE 0x3

// MAIR: index 0 normal write-back, index 1 device nGnRE.
#define MAIR_VALUE 0x04ff
// T0SZ = T1SZ = 16 (48 bits), 4 KiB granule, inner shareable, write-back
// walks, 40-bit physical addresses.
#define TCR_VALUE 0x00000002b5103510
// Reset value with RES1 bits; M, C, SA, I set.
#define SCTLR_VALUE 0x30d0199d
#define SCTLR_WXN 0x80000

#define PMCR_VALUE 0x47 // enable, reset counters, 64-bit cycle counter
#define PMU_EVENT_INSTRUCTIONS 0x08
#define PMU_ENABLE 0x80000001 // cycle counter and event counter 0

	.section .text.head, "ax"
	.globl _start
_start:
	b primary_entry
	.long 0
	.quad IMAGE_TEXT_OFFSET
	.quad image_bytes // absolute, from the link script
	.quad 0xa // little-endian, 4 KiB pages, anywhere in memory
	.quad 0
	.quad 0
	.quad 0
	.ascii "ARM\x64"
	.long 0

// Count from here on: nothing the CPU does may be free of charge.
.macro start_counting scratch
	mov \scratch, #PMCR_VALUE
	msr pmcr_el0, \scratch
	msr pmccfiltr_el0, xzr
	mov \scratch, #PMU_EVENT_INSTRUCTIONS
	msr pmevtyper0_el0, \scratch
	ldr \scratch, =PMU_ENABLE
	msr pmcntenset_el0, \scratch
.endm

// To EL1 if the loader left us at EL2, with timers and GIC usable from there.
.macro drop_to_el1 scratch
	mrs \scratch, CurrentEL
	cmp \scratch, #(2 << 2)
	b.ne 1f
	mov \scratch, #(1 << 31) // EL1 is AArch64
	msr hcr_el2, \scratch
	mov \scratch, #3 // EL1 may use the physical timer and counter
	msr cnthctl_el2, \scratch
	msr cntvoff_el2, xzr
	mrs \scratch, ICC_SRE_EL2
	orr \scratch, \scratch, #1 // system registers, and
	orr \scratch, \scratch, #8 // EL1 may choose them too
	msr ICC_SRE_EL2, \scratch
	mrs \scratch, midr_el1
	msr vpidr_el2, \scratch
	mrs \scratch, mpidr_el1
	msr vmpidr_el2, \scratch
	msr cptr_el2, xzr
	mrs \scratch, pmcr_el0 // MDCR_EL2.HPMN = all event counters, no traps
	ubfx \scratch, \scratch, #11, #5
	msr mdcr_el2, \scratch
	mov \scratch, #0x3c5 // EL1h, interrupts masked
	msr spsr_el2, \scratch
	adr \scratch, 1f
	msr elr_el2, \scratch
	eret
1:
.endm

// x9 = physical root for the kernel half. Leaves the CPU translating, still at
// its physical address through the boot table in TTBR0.
translate:
	mov x10, #MAIR_VALUE
	msr mair_el1, x10
	ldr x10, =TCR_VALUE
	msr tcr_el1, x10
	adrp x10, boot_table_0
	add x10, x10, :lo12:boot_table_0
	msr ttbr0_el1, x10
	msr ttbr1_el1, x9
	tlbi vmalle1
	dsb nsh
	isb
	ldr x10, =SCTLR_VALUE
	msr sctlr_el1, x10
	isb
	ret

primary_entry:
	start_counting x9
	drop_to_el1 x9
	mov x20, x0
	// The link address is a promise; a loader that breaks it gets silence
	// rather than a kernel that runs from the wrong place.
	adr x10, _start
	ldr x11, =IMAGE_PHYSICAL
	cmp x10, x11
	b.ne park
	adrp x9, boot_table_0
	add x9, x9, :lo12:boot_table_0
	bl translate
	ldr x10, =primary_high
	br x10

primary_high:
	ldr x9, =percpu
	msr tpidr_el1, x9
	ldr x10, =stack_slots + (STACK_THREADS + 1) * STACK_SLOT_BYTES
	mov sp, x10
	ldr x9, =exception_vectors
	msr vbar_el1, x9
	msr contextidr_el1, xzr
	isb
	bl clear_bss
	mov x29, xzr
	mov x30, xzr
	mov x0, x20
	b kernel_main

// Clear .bss a cache line at a time (one instruction per 64 bytes): with a few
// megabytes of service workspaces anything else would cost most of the boot.
clear_bss:
	ldr x9, =bss_start
	ldr x10, =bss_end
	mrs x11, dczid_el0
	and x11, x11, #0x1f
	cmp x11, #4 // 4 words << 4 = 64 bytes, and DZP clear
	b.ne 2f
1:	cmp x9, x10
	b.hs 3f
	.rept 8 // both ends are 512-byte aligned
	dc zva, x9
	add x9, x9, #64
	.endr
	b 1b
2:	cmp x9, x10
	b.hs 3f
	stp xzr, xzr, [x9], #16
	b 2b
3:	ret

	.globl secondary_entry
secondary_entry:
	start_counting x9
	drop_to_el1 x9
	mov x20, x0
	adrp x9, kernel_root_physical
	ldr x9, [x9, :lo12:kernel_root_physical]
	bl translate
	ldr x10, =secondary_high
	br x10

secondary_high:
	msr tpidr_el1, x20
	ldr x9, =exception_vectors
	msr vbar_el1, x9
	ldr w10, [x20, #16] // cpu
	ldr x9, =stack_slots + (STACK_THREADS + 1) * STACK_SLOT_BYTES
	add x9, x9, x10, lsl #(STACK_SLOT_SHIFT + 1)
	mov sp, x9
	bl mmu_drop_identity
	mov x29, xzr
	mov x30, xzr
	mov x0, x20
	b secondary_main

park:
	wfi
	b park

// The kernel half only from here on: no walks through TTBR0 (TCR.EPD0), and
// writable never executes (SCTLR.WXN).
	.globl mmu_drop_identity
mmu_drop_identity:
	mrs x9, tcr_el1
	orr x9, x9, #(1 << 7)
	msr tcr_el1, x9
	msr ttbr0_el1, xzr
	mrs x9, sctlr_el1
	orr x9, x9, #SCTLR_WXN
	msr sctlr_el1, x9
	isb
	tlbi vmalle1
	dsb nsh
	isb
	ret

	.pool

	.section .rodata.boot_tables, "a"
	.balign 4096
boot_table_0:
	.quad boot_table_1 - LINEAR_OFFSET + TABLE
	.fill 511, 8, 0
boot_table_1:
	.quad BLOCK_DEVICE
	.quad 0x40000000 + BLOCK_MEMORY
	.fill 510, 8, 0
