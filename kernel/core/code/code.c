// The pool of code pages; see code.h. The rights of a page and the caches are
// in arch/arm64/mmu.c, the way out of a fault in core/trap/guard.c.
#include "core/code/code.h"

#include "arch/arm64/mmu.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"

// The linker script sets the pages apart, so that their entries in the tables
// are single pages.
extern uint8_t code_pages[], code_pages_end[];

_Static_assert(CODE_SLOT_BYTES % PAGE_BYTES == 0, "whole pages");

#define WORD_BREAK 0xd4200000u // brk #0

static uint32_t executable_bytes[CODE_SLOTS];

static uint8_t *slot_pages(uint32_t slot)
{
	if (slot >= CODE_SLOTS || code_pages_end - code_pages < CODE_SLOTS * CODE_SLOT_BYTES) {
		panic("code: slot %u", slot);
	}
	return code_pages + (uint64_t)slot * CODE_SLOT_BYTES;
}

void code_drop(uint32_t slot)
{
	if (executable_bytes[slot % CODE_SLOTS] != 0) {
		mmu_make_data(slot_pages(slot), executable_bytes[slot]);
		executable_bytes[slot] = 0;
	}
}

code_function code_load(uint32_t slot, const uint8_t *bytes, uint32_t count)
{
	uint8_t *pages = slot_pages(slot);
	uint32_t rounded = (count + PAGE_BYTES - 1) & ~(uint32_t)(PAGE_BYTES - 1);

	if (count == 0 || count % sizeof(uint32_t) != 0 || count > CODE_SLOT_BYTES) {
		return NULL;
	}
	code_drop(slot);
	memcpy(pages, bytes, count);
	// What is behind the code must not run: a jump there is a fault.
	for (uint32_t at = count; at < rounded; at += sizeof(uint32_t)) {
		*(uint32_t *)(pages + at) = WORD_BREAK;
	}
	executable_bytes[slot] = rounded;
	mmu_make_code(pages, rounded);
	return (code_function)(uintptr_t)pages;
}
