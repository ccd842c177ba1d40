// Fair spin locks and memory barriers.
//
// A lock that an interrupt handler or a preempting thread could want is taken
// with spin_lock_irqsave. The plain form is only for code that already runs
// with interrupts masked: a preempted holder would block its own CPU.
#ifndef KERNEL_CORE_SYNC_SPINLOCK_H
#define KERNEL_CORE_SYNC_SPINLOCK_H

#include <stdint.h>

#include "arch/arm64/arch.h"

struct spinlock {
	uint32_t next;    // ticket the next taker gets
	uint32_t serving; // ticket that holds the lock
};

#define SPINLOCK_INITIAL {0, 0}

#define smp_mb() __asm__ volatile("dmb ish" ::: "memory")
#define smp_rmb() __asm__ volatile("dmb ishld" ::: "memory")
#define smp_wmb() __asm__ volatile("dmb ishst" ::: "memory")
#define load_acquire(pointer) __atomic_load_n((pointer), __ATOMIC_ACQUIRE)
#define store_release(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELEASE)

static inline void spin_lock(struct spinlock *lock)
{
	uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (load_acquire(&lock->serving) != ticket) {
		arch_relax();
	}
}

static inline void spin_unlock(struct spinlock *lock)
{
	// Only the holder writes `serving`, so a plain read is enough.
	store_release(&lock->serving, lock->serving + 1);
}

static inline uint64_t spin_lock_irqsave(struct spinlock *lock)
{
	uint64_t state = irq_save();

	spin_lock(lock);
	return state;
}

static inline void spin_unlock_irqrestore(struct spinlock *lock, uint64_t state)
{
	spin_unlock(lock);
	irq_restore(state);
}

#endif
