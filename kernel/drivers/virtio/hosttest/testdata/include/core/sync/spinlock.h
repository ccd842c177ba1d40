/* The host's stand-in for the kernel's barriers: queue.c uses only this one. */
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
