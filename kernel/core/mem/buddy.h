// Buddy allocator over one span of pages. Portable and without a lock; page.c
// is the kernel's instance. Initialising costs one step per free block, not
// per page.
#ifndef KERNEL_CORE_MEM_BUDDY_H
#define KERNEL_CORE_MEM_BUDDY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mem/page.h"

struct buddy_link {
	struct buddy_link *next, *previous;
};

struct buddy {
	uint8_t *base;   // of page 0; aligned to the largest block
	uint64_t pages;
	uint8_t *states; // one byte per page, all zero at first
	uint64_t free_pages;
	struct buddy_link *free[PAGE_ORDER_MAX + 1];
};

void buddy_init(struct buddy *buddy, void *base, uint64_t pages, uint8_t *states);
// Hand pages over to the allocator, once; they are free afterwards. Outside
// the span: ignored.
void buddy_add(struct buddy *buddy, uint64_t first, uint64_t count);
void *buddy_take(struct buddy *buddy, unsigned order);
bool buddy_give(struct buddy *buddy, void *pages);

#endif
