// The four functions compilers may call on their own, with general registers
// only. Eight bytes at a time when both sides allow it; the build keeps the
// compiler from turning these loops into calls to themselves.

#include "core/lib/string.h"

#include <stdint.h>

#define WORD_BYTES 8

typedef uint64_t word __attribute__((may_alias, aligned(1)));

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	uint8_t *target = to;
	const uint8_t *source = from;

	// Normal memory takes unaligned words.
	for (; bytes >= 2 * WORD_BYTES; bytes -= 2 * WORD_BYTES) {
		uint64_t low = ((const word *)source)[0];
		uint64_t high = ((const word *)source)[1];
		((word *)target)[0] = low;
		((word *)target)[1] = high;
		source += 2 * WORD_BYTES;
		target += 2 * WORD_BYTES;
	}
	if (bytes >= WORD_BYTES) {
		*(word *)target = *(const word *)source;
		source += WORD_BYTES;
		target += WORD_BYTES;
		bytes -= WORD_BYTES;
	}
	for (; bytes > 0; bytes--) {
		*target++ = *source++;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	uint8_t *target = to;
	const uint8_t *source = from;

	// Forward copying is right unless the target begins inside the source.
	if ((uintptr_t)target - (uintptr_t)source >= bytes) {
		return memcpy(to, from, bytes);
	}
	for (; bytes >= WORD_BYTES; bytes -= WORD_BYTES) {
		*(word *)(target + bytes - WORD_BYTES) = *(const word *)(source + bytes - WORD_BYTES);
	}
	while (bytes > 0) {
		bytes--;
		target[bytes] = source[bytes];
	}
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	uint8_t *target = to;
	uint64_t pattern = (uint8_t)value * 0x0101010101010101ull;

	for (; bytes >= 2 * WORD_BYTES; bytes -= 2 * WORD_BYTES) {
		((word *)target)[0] = pattern;
		((word *)target)[1] = pattern;
		target += 2 * WORD_BYTES;
	}
	for (; bytes > 0; bytes--) {
		*target++ = (uint8_t)value;
	}
	return to;
}

int memcmp(const void *left, const void *right, size_t bytes)
{
	const uint8_t *a = left;
	const uint8_t *b = right;

	for (; bytes >= WORD_BYTES && *(const word *)a == *(const word *)b; bytes -= WORD_BYTES) {
		a += WORD_BYTES;
		b += WORD_BYTES;
	}
	for (; bytes > 0; bytes--, a++, b++) {
		if (*a != *b) {
			return *a < *b ? -1 : 1;
		}
	}
	return 0;
}
