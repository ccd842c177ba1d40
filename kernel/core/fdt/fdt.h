// Flattened device tree, read without trust: every offset and length is
// checked against the blob before it is used, recursion does not exist, and
// each call does a bounded amount of work. Portable; fuzzed on the host.
// Format: Devicetree Specification v0.4, chapter 5.
#ifndef KERNEL_CORE_FDT_FDT_H
#define KERNEL_CORE_FDT_FDT_H

#include <stdint.h>

#define FDT_DEPTH_MAX 16
#define FDT_BYTES_MAX (2u << 20)

enum fdt_code {
	FDT_OK = 0,
	FDT_ERR_TRUNCATED = -1, // a header, name, property or block ends outside
	FDT_ERR_MAGIC = -2,
	FDT_ERR_VERSION = -3,   // not readable as version 17
	FDT_ERR_LAYOUT = -4,    // blocks overlap the header or are misaligned
	FDT_ERR_TOKEN = -5,	    // unknown token, or one where it cannot be
	FDT_ERR_DEPTH = -6,	    // nested deeper than FDT_DEPTH_MAX
	FDT_ERR_SIZE = -7,	   // the header's size is beyond FDT_BYTES_MAX
};

enum fdt_event {
	FDT_EVENT_BEGIN = 1, // node: name
	FDT_EVENT_PROPERTY,  // name, data, bytes
	FDT_EVENT_END,       // of a node
	FDT_EVENT_DONE, // end of the tree
};

struct fdt {
	const uint8_t *blob;
	uint32_t bytes;
	uint32_t structure_at, structure_bytes;
	uint32_t strings_at, strings_bytes;
};

struct fdt_cursor {
	const struct fdt *tree;
	uint32_t at; // within the structure block
	uint32_t depth;
	const char *name; // terminated inside the blob
	const uint8_t *data;
	uint32_t bytes;
};

// `bytes_available`: how much may be read at all; the header may claim less.
int fdt_open(struct fdt *tree, const void *blob, uint64_t bytes_available);
void fdt_start(struct fdt_cursor *cursor, const struct fdt *tree);
// An fdt_event, or a negative fdt_code.
int fdt_next(struct fdt_cursor *cursor);

// The cell at `index` (big-endian) of property data; 0 when outside.
uint32_t fdt_cell(const uint8_t *data, uint32_t bytes, uint32_t index);
// `cells` (1 or 2) cells from `index` as one number; 0 when outside.
uint64_t fdt_number(const uint8_t *data, uint32_t bytes, uint32_t index, uint32_t cells);

#endif
