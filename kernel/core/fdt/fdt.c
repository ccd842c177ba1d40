// Flattened device tree reader; see fdt.h. No state beyond the cursor.

#include "core/fdt/fdt.h"

#include <stdbool.h>
#include <stddef.h>

#define HEADER_BYTES 40
#define HEADER_MAGIC 0xd00dfeedu
#define HEADER_TOTAL_AT 4
#define HEADER_STRUCTURE_AT 8
#define HEADER_STRINGS_AT 12
#define HEADER_VERSION_AT 20
#define HEADER_COMPATIBLE_AT 24
#define HEADER_STRINGS_BYTES_AT 32
#define HEADER_STRUCTURE_BYTES_AT 36
#define VERSION_READ 17

#define CELL_BYTES 4
#define TOKEN_BEGIN 1
#define TOKEN_END 2
#define TOKEN_PROPERTY 3
#define TOKEN_NOP 4
#define TOKEN_DONE 9

// Longest name in a tree; the specification allows 31 for properties and for
// nodes 31 plus a unit address.
#define NAME_BYTES_MAX 128

static uint32_t big_endian(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// [at, at + bytes) lies inside [HEADER_BYTES, total).
static bool block_fits(uint32_t at, uint32_t bytes, uint32_t total)
{
	return at >= HEADER_BYTES && at <= total && bytes <= total - at;
}

int fdt_open(struct fdt *tree, const void *blob, uint64_t bytes_available)
{
	const uint8_t *header = blob;

	if (bytes_available < HEADER_BYTES) {
		return FDT_ERR_TRUNCATED;
	}
	if (big_endian(header) != HEADER_MAGIC) {
		return FDT_ERR_MAGIC;
	}
	uint32_t total = big_endian(header + HEADER_TOTAL_AT);
	if (total > FDT_BYTES_MAX) {
		return FDT_ERR_SIZE;
	}
	if (total > bytes_available || total < HEADER_BYTES) {
		return FDT_ERR_TRUNCATED;
	}
	if (big_endian(header + HEADER_VERSION_AT) < VERSION_READ ||
	    big_endian(header + HEADER_COMPATIBLE_AT) > VERSION_READ) {
		return FDT_ERR_VERSION;
	}
	*tree = (struct fdt){
		.blob = header,
		.bytes = total,
		.structure_at = big_endian(header + HEADER_STRUCTURE_AT),
		.structure_bytes = big_endian(header + HEADER_STRUCTURE_BYTES_AT),
		.strings_at = big_endian(header + HEADER_STRINGS_AT),
		.strings_bytes = big_endian(header + HEADER_STRINGS_BYTES_AT),
	};
	if (tree->structure_at % CELL_BYTES != 0 || !block_fits(tree->structure_at, tree->structure_bytes, total) ||
	    !block_fits(tree->strings_at, tree->strings_bytes, total)) {
		return FDT_ERR_LAYOUT;
	}
	return FDT_OK;
}

void fdt_start(struct fdt_cursor *cursor, const struct fdt *tree)
{
	*cursor = (struct fdt_cursor){.tree = tree};
}

// Length of the terminated name at the start of `bytes` bytes, or -1.
static int32_t name_length(const uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes && i < NAME_BYTES_MAX; i++) {
		if (at[i] == 0) {
			return (int32_t)i;
		}
	}
	return -1;
}

// Bytes left in the structure block.
static uint32_t left(const struct fdt_cursor *cursor)
{
	return cursor->tree->structure_bytes - cursor->at;
}

static const uint8_t *here(const struct fdt_cursor *cursor)
{
	return cursor->tree->blob + cursor->tree->structure_at + cursor->at;
}

// Advance over `bytes` and the padding to the next cell; false if that is
// outside.
static bool skip(struct fdt_cursor *cursor, uint32_t bytes)
{
	uint32_t rest = left(cursor);

	if (bytes > rest) {
		return false;
	}
	uint32_t padded = (bytes + CELL_BYTES - 1) & ~(uint32_t)(CELL_BYTES - 1);
	cursor->at += padded > rest ? rest : padded;
	return true;
}

static int begin(struct fdt_cursor *cursor)
{
	int32_t length = name_length(here(cursor), left(cursor));

	if (length < 0) {
		return FDT_ERR_TRUNCATED;
	}
	if (cursor->depth == FDT_DEPTH_MAX) {
		return FDT_ERR_DEPTH;
	}
	cursor->name = (const char *)here(cursor);
	cursor->data = NULL;
	cursor->bytes = 0;
	cursor->depth++;
	skip(cursor, (uint32_t)length + 1);
	return FDT_EVENT_BEGIN;
}

static int property(struct fdt_cursor *cursor)
{
	const struct fdt *tree = cursor->tree;

	if (cursor->depth == 0) {
		return FDT_ERR_TOKEN;
	}
	if (left(cursor) < 2 * CELL_BYTES) {
		return FDT_ERR_TRUNCATED;
	}
	uint32_t bytes = big_endian(here(cursor));
	uint32_t name_at = big_endian(here(cursor) + CELL_BYTES);
	skip(cursor, 2 * CELL_BYTES);
	if (name_at >= tree->strings_bytes ||
	    name_length(tree->blob + tree->strings_at + name_at, tree->strings_bytes - name_at) < 0) {
		return FDT_ERR_TRUNCATED;
	}
	cursor->name = (const char *)tree->blob + tree->strings_at + name_at;
	cursor->data = here(cursor);
	cursor->bytes = bytes;
	return skip(cursor, bytes) ? FDT_EVENT_PROPERTY : FDT_ERR_TRUNCATED;
}

static int end(struct fdt_cursor *cursor)
{
	if (cursor->depth == 0) {
		return FDT_ERR_TOKEN;
	}
	cursor->depth--;
	return FDT_EVENT_END;
}

// Each turn consumes at least one cell, so the loop ends with the block.
int fdt_next(struct fdt_cursor *cursor)
{
	while (left(cursor) >= CELL_BYTES) {
		uint32_t token = big_endian(here(cursor));
		skip(cursor, CELL_BYTES);
		switch (token) {
		case TOKEN_NOP:
			continue;
		case TOKEN_BEGIN:
			return begin(cursor);
		case TOKEN_PROPERTY:
			return property(cursor);
		case TOKEN_END:
			return end(cursor);
		case TOKEN_DONE:
			return cursor->depth == 0 ? FDT_EVENT_DONE : FDT_ERR_TOKEN;
		default:
			return FDT_ERR_TOKEN;
		}
	}
	return FDT_ERR_TRUNCATED;
}

uint32_t fdt_cell(const uint8_t *data, uint32_t bytes, uint32_t index)
{
	return index < bytes / CELL_BYTES ? big_endian(data + (uint64_t)index * CELL_BYTES) : 0;
}

uint64_t fdt_number(const uint8_t *data, uint32_t bytes, uint32_t index, uint32_t cells)
{
	if (cells == 0 || cells > 2 || bytes / CELL_BYTES < cells || index > bytes / CELL_BYTES - cells) {
		return 0;
	}
	uint64_t value = 0;
	for (uint32_t i = 0; i < cells; i++) {
		value = value << 32 | big_endian(data + (uint64_t)(index + i) * CELL_BYTES);
	}
	return value;
}
