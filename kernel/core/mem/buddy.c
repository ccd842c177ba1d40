// A block of order n is 2^n pages, aligned to its size. `states` tells, for the
// first page of each block, if it is free or taken and its order; zero for all
// other pages. Two free halves of one block are joined at once.

#include "core/mem/buddy.h"

#include <stddef.h>

#define STATE_FREE 0x80
#define STATE_TAKEN 0x40
#define STATE_ORDER 0x0f

static void *page_at(const struct buddy *buddy, uint64_t page)
{
	return buddy->base + page * PAGE_BYTES;
}

static uint64_t page_of(const struct buddy *buddy, const void *address)
{
	return (uint64_t)((const uint8_t *)address - buddy->base) / PAGE_BYTES;
}

static void push(struct buddy *buddy, uint64_t page, unsigned order)
{
	struct buddy_link *link = page_at(buddy, page);

	link->previous = NULL;
	link->next = buddy->free[order];
	if (link->next != NULL) {
		link->next->previous = link;
	}
	buddy->free[order] = link;
	buddy->states[page] = (uint8_t)(STATE_FREE | order);
}

static void pull(struct buddy *buddy, uint64_t page, unsigned order)
{
	struct buddy_link *link = page_at(buddy, page);

	if (link->previous != NULL) {
		link->previous->next = link->next;
	} else {
		buddy->free[order] = link->next;
	}
	if (link->next != NULL) {
		link->next->previous = link->previous;
	}
	buddy->states[page] = 0;
}

void buddy_init(struct buddy *buddy, void *base, uint64_t pages, uint8_t *states)
{
	*buddy = (struct buddy){.base = base, .pages = pages, .states = states};
}

// Free one block, joining it with its other half as long as that is free.
static void release(struct buddy *buddy, uint64_t page, unsigned order)
{
	buddy->free_pages += 1ull << order;
	while (order < PAGE_ORDER_MAX) {
		uint64_t other = page ^ 1ull << order;
		if (other >= buddy->pages || buddy->states[other] != (STATE_FREE | order)) {
			break;
		}
		pull(buddy, other, order);
		page &= ~(1ull << order);
		order++;
	}
	push(buddy, page, order);
}

void buddy_add(struct buddy *buddy, uint64_t first, uint64_t count)
{
	if (first >= buddy->pages) {
		return;
	}
	if (count > buddy->pages - first) {
		count = buddy->pages - first;
	}
	while (count > 0) {
		unsigned order = 0;
		while (order < PAGE_ORDER_MAX && (first & ((2ull << order) - 1)) == 0 && 2ull << order <= count) {
			order++;
		}
		release(buddy, first, order);
		first += 1ull << order;
		count -= 1ull << order;
	}
}

void *buddy_take(struct buddy *buddy, unsigned order)
{
	unsigned found = order;

	while (found <= PAGE_ORDER_MAX && buddy->free[found] == NULL) {
		found++;
	}
	if (found > PAGE_ORDER_MAX) {
		return NULL;
	}
	uint64_t page = page_of(buddy, buddy->free[found]);
	pull(buddy, page, found);
	while (found > order) {
		found--;
		push(buddy, page + (1ull << found), found);
	}
	buddy->states[page] = (uint8_t)(STATE_TAKEN | order);
	buddy->free_pages -= 1ull << order;
	return page_at(buddy, page);
}

bool buddy_give(struct buddy *buddy, void *pages)
{
	uintptr_t offset = (uintptr_t)pages - (uintptr_t)buddy->base;

	if (offset % PAGE_BYTES != 0 || offset / PAGE_BYTES >= buddy->pages) {
		return false;
	}
	uint64_t page = offset / PAGE_BYTES;
	if ((buddy->states[page] & STATE_TAKEN) == 0) {
		return false;
	}
	unsigned order = buddy->states[page] & STATE_ORDER;
	buddy->states[page] = 0;
	release(buddy, page, order);
	return true;
}
