// The kernel's page allocator: a buddy over the board's memory, less what is
// in use before it starts. Its state bytes (one per page) lie in the first
// pages behind the image.

#include "core/mem/page.h"

#include "arch/arm64/mmu.h"
#include "board/qemuvirt/board.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/buddy.h"
#include "core/sync/spinlock.h"

#define BLOCK_BYTES_MAX (PAGE_BYTES << PAGE_ORDER_MAX)
#define RESERVED_MAX 3

struct span {
	uint64_t first, end; // page numbers from the allocator's base
};

extern uint8_t image_start[], image_end[];

static struct buddy pages;
static struct spinlock pages_lock;

static struct span span_of(uint64_t base, uint64_t physical, uint64_t bytes)
{
	return (struct span){(physical - base) / PAGE_BYTES, (physical - base + bytes + PAGE_BYTES - 1) / PAGE_BYTES};
}

static void sort(struct span *spans, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		for (unsigned j = i; j > 0 && spans[j].first < spans[j - 1].first; j--) {
			struct span swapped = spans[j];
			spans[j] = spans[j - 1];
			spans[j - 1] = swapped;
		}
	}
}

void page_init(void)
{
	uint64_t base = board.memory_physical & ~(BLOCK_BYTES_MAX - 1);
	struct span memory = span_of(base, board.memory_physical, board.memory_bytes);
	uint8_t *states = image_end;
	uint64_t image_bytes = (uint64_t)(states + memory.end - image_start);
	struct span reserved[RESERVED_MAX] = {
		span_of(base, virt_to_phys(image_start), image_bytes),
		span_of(base, board.tree_physical, board.tree_bytes),
		span_of(base, board.initrd_physical, board.initrd_bytes),
	};
	unsigned count = board.initrd_bytes != 0 ? RESERVED_MAX : RESERVED_MAX - 1;

	memset(states, 0, memory.end);
	buddy_init(&pages, phys_to_virt(base), memory.end, states);
	sort(reserved, count);
	uint64_t next = memory.first;
	for (unsigned i = 0; i < count; i++) {
		if (reserved[i].first > next) {
			buddy_add(&pages, next, reserved[i].first - next);
		}
		if (reserved[i].end > next) {
			next = reserved[i].end;
		}
	}
	if (memory.end > next) {
		buddy_add(&pages, next, memory.end - next);
	}
}

void *page_alloc(unsigned order)
{
	if (order > PAGE_ORDER_MAX) {
		return 0;
	}
	uint64_t state = spin_lock_irqsave(&pages_lock);
	void *taken = buddy_take(&pages, order);
	spin_unlock_irqrestore(&pages_lock, state);
	return taken;
}

void page_free(void *given)
{
	uint64_t state = spin_lock_irqsave(&pages_lock);
	bool good = buddy_give(&pages, given);
	spin_unlock_irqrestore(&pages_lock, state);
	if (!good) {
		panic("page_free: %p was not allocated", given);
	}
}

uint64_t page_free_bytes(void)
{
	return pages.free_pages * PAGE_BYTES;
}
