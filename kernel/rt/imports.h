// What Go services call: the C face of package rt. Implemented in imports.c by
// the parts of the kernel that own each thing; called from Go only, on a
// thread, inside guard_call. None of them blocks while it holds a lock that a
// contained panic could leave behind.
#ifndef KERNEL_RT_IMPORTS_H
#define KERNEL_RT_IMPORTS_H

#include <stdint.h>

uint64_t rt_now_ns(void);
uint64_t rt_instructions(void);
uint64_t rt_cpus(void);
uint64_t rt_ring_read(uint64_t cpu, uint64_t event);
uint64_t rt_ring_lost(uint64_t cpu);
void rt_publish(uint64_t hook, uint64_t index, uint64_t version, uint64_t cpu_mask);
uint64_t rt_load_code(uint64_t hook, uint64_t index, uint64_t bytes, uint64_t count);
uint64_t rt_quiescent(uint64_t hook, uint64_t index);
void rt_hook_stats(uint64_t hook, uint64_t cpu, uint64_t stats);
void rt_send_frame(uint64_t bytes, uint64_t count);
void rt_log(uint64_t bytes, uint64_t count);

// The runtime port's own three (kernel/rt/tinygo/runtime).
void go_putc(uint8_t character);
_Noreturn void go_abort(void);
int64_t go_ticks_ns(void);

#endif
