// Binary search in the generated table. The first link has an empty one: the
// weak definitions here.
#include "core/symbols/symbols.h"

#include <stdint.h>

// Offsets from symbol_base, ascending, one more than there are names so that
// the last function has an end; and for each name its place in symbol_names.
// Declared weak and not only defined so: the compiler must not fold them.
__attribute__((weak)) const uint32_t symbol_count;
__attribute__((weak)) const uint32_t symbol_offsets[1];
__attribute__((weak)) const uint32_t symbol_name_offsets[1];
__attribute__((weak)) const char symbol_names[1];
__attribute__((weak)) const uint64_t symbol_base;

// Weak for the same reason; kernelimage writes the bytes into the linked file.
__attribute__((weak)) const uint8_t kernel_digest[32] = {0};

const char *symbol_lookup(uint64_t address, uint64_t *offset)
{
	uint64_t distance = address - symbol_base;

	*offset = 0;
	if (symbol_count == 0 || address < symbol_base || distance < symbol_offsets[0] ||
	    distance >= symbol_offsets[symbol_count])
		return SYMBOL_UNKNOWN;
	uint32_t low = 0, high = symbol_count; // the answer is in [low, high)
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (symbol_offsets[middle] <= distance)
			low = middle;
		else
			high = middle;
	}
	*offset = distance - symbol_offsets[low];
	return &symbol_names[symbol_name_offsets[low]];
}
