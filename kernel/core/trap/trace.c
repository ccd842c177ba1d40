// Back traces; see trace.h.

#include "core/trap/trace.h"

#include <stdbool.h>

#include "arch/arm64/offsets.h"
#include "arch/arm64/stack.h"

extern uint8_t image_start[], text_end[];

static bool in_text(uint64_t address)
{
	return address >= (uint64_t)image_start && address < (uint64_t)text_end;
}

// Two words at `address` can be read: inside one stack, above its guard page.
static bool is_record(uint64_t address)
{
	uint64_t at = address - (uint64_t)stack_slots;

	return address % 16 == 0 && address >= (uint64_t)stack_slots && at < (uint64_t)STACK_SLOTS * STACK_SLOT_BYTES &&
	       at % STACK_SLOT_BYTES >= STACK_GUARD_BYTES;
}

uint32_t trace_walk(uint64_t frame_pointer, uint64_t *out, uint32_t out_max)
{
	uint32_t count = 0;

	while (count < out_max && is_record(frame_pointer)) {
		const uint64_t *record = (const uint64_t *)frame_pointer;
		if (!in_text(record[1])) {
			break;
		}
		out[count++] = record[1];
		if (record[0] <= frame_pointer) {
			break;
		}
		frame_pointer = record[0];
	}
	return count;
}
