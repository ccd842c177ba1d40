// Back traces by the chain of frame records.
#ifndef KERNEL_CORE_TRAP_TRACE_H
#define KERNEL_CORE_TRAP_TRACE_H

#include <stdint.h>

// Return addresses, innermost first. Nothing is believed: a record must lie in
// a mapped stack, an address in the text, and the chain must go up.
uint32_t trace_walk(uint64_t frame_pointer, uint64_t *out, uint32_t out_max);

#endif
