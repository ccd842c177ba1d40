// Names of the kernel's functions, C and Go alike, for back traces. The table
// is made from a first link of the image and becomes part of the second
// (kernel/rt/image); text lies before it, so no address changes in between.
#ifndef KERNEL_CORE_SYMBOLS_SYMBOLS_H
#define KERNEL_CORE_SYMBOLS_SYMBOLS_H

#include <stdint.h>

#define SYMBOL_UNKNOWN "?"

// The function that holds `address`, and how far into it the address lies.
// SYMBOL_UNKNOWN and 0 outside the text. Never faults, takes no lock.
const char *symbol_lookup(uint64_t address, uint64_t *offset);

// SHA-256 of kernel.img with these 32 bytes zero; written after the link.
extern const uint8_t kernel_digest[32];

#endif
