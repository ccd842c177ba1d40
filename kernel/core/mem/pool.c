// Fixed pools; see pool.h. No lock: the owner of a pool has one if it needs one.

#include "core/mem/pool.h"

#include <stddef.h>

// Objects are aligned for any C type of this kernel.
#define POOL_ALIGNMENT 16

bool pool_init(struct pool *pool, void *storage, uint64_t storage_bytes, uint64_t object_bytes)
{
	if (object_bytes == 0 || object_bytes > storage_bytes || (uintptr_t)storage % POOL_ALIGNMENT != 0) {
		return false;
	}
	object_bytes = (object_bytes + POOL_ALIGNMENT - 1) & ~(uint64_t)(POOL_ALIGNMENT - 1);
	if (object_bytes > storage_bytes) {
		return false;
	}
	*pool = (struct pool){
		.storage = storage,
		.object_bytes = object_bytes,
		.objects = storage_bytes / object_bytes,
	};
	return true;
}

void *pool_take(struct pool *pool)
{
	void *object = pool->free;

	if (object != NULL) {
		pool->free = *(void **)object;
	} else if (pool->carved < pool->objects) {
		object = pool->storage + pool->carved * pool->object_bytes;
		pool->carved++;
	} else {
		return NULL;
	}
	pool->used++;
	return object;
}

bool pool_give(struct pool *pool, void *object)
{
	uintptr_t offset = (uintptr_t)object - (uintptr_t)pool->storage;

	if (offset >= pool->carved * pool->object_bytes || offset % pool->object_bytes != 0 || pool->used == 0) {
		return false;
	}
	*(void **)object = pool->free;
	pool->free = object;
	pool->used--;
	return true;
}
