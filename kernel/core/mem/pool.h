// Fixed pools: equal objects carved from storage given once, at start.
// Portable; taking and giving back are O(1) and initialising touches nothing.
#ifndef KERNEL_CORE_MEM_POOL_H
#define KERNEL_CORE_MEM_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct pool {
	uint8_t *storage;
	uint64_t object_bytes; // rounded up to hold the free-list link
	uint64_t objects;
	uint64_t carved; // objects that were handed out at least once
	uint64_t used;
	void *free; // given back, linked through their first word
};

// False when the storage is misaligned or holds no object.
bool pool_init(struct pool *pool, void *storage, uint64_t storage_bytes, uint64_t object_bytes);
void *pool_take(struct pool *pool); // NULL when empty; contents undefined
// False when `object` is not one of this pool's places.
bool pool_give(struct pool *pool, void *object);

#endif
