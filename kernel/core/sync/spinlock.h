// Spin locks and memory barriers.
//
// A taker that finds the lock held reads until it is free and tries again:
// no queue. Tickets were measured and refused: with more CPUs than the host
// has (8 on 2 under MTTCG) each hand-over waits for the one CPU whose turn it
// is to be scheduled; the eight-CPU exercise took 13 CPU-seconds with tickets
// and 1.5 without. What is lost is the bound on waiting under contention;
// sections are short and nothing that must be timely takes a shared lock (the
// packet path takes none, core/hook/hook.c).
//
// A lock that an interrupt handler or a preempting thread could want is taken
// with spin_lock_irqsave. The plain form is only for code that already runs
// with interrupts masked: a preempted holder would block its own CPU.
#ifndef KERNEL_CORE_SYNC_SPINLOCK_H
#define KERNEL_CORE_SYNC_SPINLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arm64/arch.h"

struct spinlock {
	uint32_t held; // 1 while somebody is inside
};

#define SPINLOCK_INITIAL {0}

#define smp_mb() __asm__ volatile("dmb ish" ::: "memory")
#define smp_rmb() __asm__ volatile("dmb ishld" ::: "memory")
#define smp_wmb() __asm__ volatile("dmb ishst" ::: "memory")
#define load_acquire(pointer) __atomic_load_n((pointer), __ATOMIC_ACQUIRE)
#define store_release(pointer, value) __atomic_store_n((pointer), (value), __ATOMIC_RELEASE)

static inline bool spin_try_lock(struct spinlock *lock)
{
	return __atomic_load_n(&lock->held, __ATOMIC_RELAXED) == 0 &&
	       __atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void spin_lock(struct spinlock *lock)
{
	while (!spin_try_lock(lock)) {
		arch_relax();
	}
}

static inline void spin_unlock(struct spinlock *lock)
{
	store_release(&lock->held, 0);
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
