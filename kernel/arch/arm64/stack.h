// The stack slots (layout in offsets.h): threads first, then two per CPU.
#ifndef KERNEL_ARCH_ARM64_STACK_H
#define KERNEL_ARCH_ARM64_STACK_H

#include <stdint.h>

extern uint8_t stack_slots[]; // link script

void *stack_top(unsigned slot);

#endif
