// Reads the nodes this kernel knows by their `compatible` string. A node's
// properties are collected while its subtree is walked and judged at its end,
// because properties come in any order but before child nodes. Nodes are known
// on the first two levels under the root only; address and size cells are
// those of the parent.

#include "board/qemuvirt/tree.h"

#include <stddef.h>

#define GIC_CELLS 3 // kind, number, flags
#define GIC_SHARED_BASE 32
#define GIC_PRIVATE_BASE 16
#define GIC_NUMBER_MAX 987 // keeps the INTID below 1020
#define TIMER_VIRTUAL_INDEX 2 // secure, non-secure, virtual, hypervisor
#define PAGE_MASK 0xfffull
#define MEMORY_BYTES_MIN (16ull << 20)
#define MEMORY_TOP (1ull << 40) // TCR.IPS
#define AFFINITY_MASK 0xff00ffffffull

struct text {
	const uint8_t *data;
	uint32_t bytes;
};

// What one node said, as far as it can matter.
struct node {
	const char *name;
	struct text compatible, reg, interrupts, device_type, method;
	uint32_t address_cells, size_cells; // for its children
};

struct reader {
	struct board_info *out;
	struct node nodes[FDT_DEPTH_MAX + 1]; // [0] stands for what is above the root
};

static bool same(const char *left, const char *right)
{
	// No node's name is read before fdt_next has reported the node.
	while (*left != 0 && *left == *right) { // NOLINT(clang-analyzer-core.NullDereference)
		left++;
		right++;
	}
	return *left == *right;
}

// Property data equal to a terminated string, or the list of strings holds it.
static bool holds(struct text list, const char *wanted)
{
	uint32_t at = 0;

	while (at < list.bytes) {
		uint32_t i = 0;
		while (at + i < list.bytes && list.data[at + i] != 0 && wanted[i] != 0 &&
		       list.data[at + i] == (uint8_t)wanted[i]) {
			i++;
		}
		if (at + i < list.bytes && list.data[at + i] == 0 && wanted[i] == 0) {
			return true;
		}
		while (at < list.bytes && list.data[at] != 0) {
			at++;
		}
		at++;
	}
	return false;
}

// Entry `index` of a node's reg; false when it is not there.
static bool reg(const struct node *node, const struct node *parent, uint32_t index, uint64_t *address, uint64_t *bytes)
{
	uint32_t cells = parent->address_cells + parent->size_cells;
	uint32_t first = index * cells;

	if (parent->address_cells == 0 || cells > 4 || (uint64_t)(first + cells) * 4 > node->reg.bytes) {
		return false;
	}
	*address = fdt_number(node->reg.data, node->reg.bytes, first, parent->address_cells);
	*bytes = fdt_number(node->reg.data, node->reg.bytes, first + parent->address_cells, parent->size_cells);
	return true;
}

static unsigned intid(const struct node *node, uint32_t index)
{
	uint32_t first = index * GIC_CELLS;
	uint32_t kind = fdt_cell(node->interrupts.data, node->interrupts.bytes, first);
	uint32_t number = fdt_cell(node->interrupts.data, node->interrupts.bytes, first + 1);

	if ((uint64_t)(first + GIC_CELLS) * 4 > node->interrupts.bytes || number > GIC_NUMBER_MAX) {
		return 0;
	}
	return number + (kind == 0 ? GIC_SHARED_BASE : GIC_PRIVATE_BASE);
}

static void end_cpu(struct board_info *out, const struct node *node, const struct node *parent)
{
	uint64_t affinity, none;

	if (out->cpus < BOARD_CPUS_MAX && reg(node, parent, 0, &affinity, &none)) {
		out->cpu_affinity[out->cpus++] = affinity & AFFINITY_MASK;
	}
}

static void end_virtio(struct board_info *out, const struct node *node, const struct node *parent)
{
	struct board_virtio *slot = &out->virtio[out->virtio_count];

	if (out->virtio_count < BOARD_VIRTIO_MAX && reg(node, parent, 0, &slot->physical, &slot->bytes)) {
		slot->intid = intid(node, 0);
		out->virtio_count++;
	}
}

static void end_gic(struct board_info *out, const struct node *node, const struct node *parent)
{
	uint64_t base, bytes;

	if (reg(node, parent, 0, &base, &bytes)) {
		out->gic_distributor_physical = base;
		out->gic_distributor_bytes = bytes;
	}
	if (reg(node, parent, 1, &base, &bytes)) {
		out->gic_redistributor_physical = base;
		out->gic_redistributor_bytes = bytes;
	}
}

static void end_node(struct board_info *out, const struct node *node, const struct node *parent)
{
	uint64_t address, bytes;

	if (holds(node->device_type, "cpu")) {
		end_cpu(out, node, parent);
	} else if (holds(node->device_type, "memory")) {
		// The first bank only; QEMU virt has one.
		if (out->memory_bytes == 0 && reg(node, parent, 0, &address, &bytes)) {
			out->memory_physical = address;
			out->memory_bytes = bytes;
		}
	} else if (holds(node->compatible, "virtio,mmio")) {
		end_virtio(out, node, parent);
	} else if (holds(node->compatible, "arm,gic-v3")) {
		end_gic(out, node, parent);
	} else if (holds(node->compatible, "arm,pl011")) {
		if (out->uart_physical == 0 && reg(node, parent, 0, &address, &bytes)) {
			out->uart_physical = address;
			out->uart_intid = intid(node, 0);
		}
	} else if (holds(node->compatible, "arm,armv8-timer")) {
		out->timer_virtual_intid = intid(node, TIMER_VIRTUAL_INDEX);
	} else if (holds(node->compatible, "arm,psci-1.0") || holds(node->compatible, "arm,psci-0.2")) {
		out->psci_smc = holds(node->method, "smc");
	}
}

static uint64_t whole_number(struct text data)
{
	return fdt_number(data.data, data.bytes, 0, data.bytes / 4);
}

static void chosen_property(struct board_info *out, const char *name, struct text data)
{
	if (same(name, "bootargs")) {
		uint32_t i = 0;
		while (i < data.bytes && i < BOARD_BOOTARGS_BYTES - 1 && data.data[i] != 0) {
			out->bootargs[i] = (char)data.data[i];
			i++;
		}
		out->bootargs[i] = 0;
	} else if (same(name, "linux,initrd-start")) {
		out->initrd_physical = whole_number(data);
	} else if (same(name, "linux,initrd-end")) {
		out->initrd_bytes = whole_number(data); // the end, until check()
	}
}

static void node_property(struct node *node, const char *name, struct text data)
{
	if (same(name, "compatible")) {
		node->compatible = data;
	} else if (same(name, "reg")) {
		node->reg = data;
	} else if (same(name, "interrupts")) {
		node->interrupts = data;
	} else if (same(name, "device_type")) {
		node->device_type = data;
	} else if (same(name, "method")) {
		node->method = data;
	} else if (same(name, "#address-cells")) {
		node->address_cells = fdt_cell(data.data, data.bytes, 0);
	} else if (same(name, "#size-cells")) {
		node->size_cells = fdt_cell(data.data, data.bytes, 0);
	}
}

static int walk(struct reader *reader, const struct fdt *tree)
{
	struct fdt_cursor cursor;

	fdt_start(&cursor, tree);
	// Each event consumes a cell or more of the structure block.
	for (;;) {
		int event = fdt_next(&cursor);
		struct node *node = &reader->nodes[cursor.depth];
		if (event < 0 || event == FDT_EVENT_DONE) {
			return event < 0 ? event : FDT_OK;
		}
		if (event == FDT_EVENT_BEGIN) {
			*node = (struct node){.name = cursor.name, .address_cells = 2, .size_cells = 1};
		} else if (event == FDT_EVENT_END) {
			// The depth is the parent's already.
			end_node(reader->out, node + 1, node);
		} else {
			struct text data = {cursor.data, cursor.bytes};
			node_property(node, cursor.name, data);
			if (cursor.depth == 2 && same(node->name, "chosen")) {
				chosen_property(reader->out, cursor.name, data);
			}
		}
	}
}

static bool inside_memory(const struct board_info *out, uint64_t physical, uint64_t bytes)
{
	return physical >= out->memory_physical && bytes <= out->memory_bytes &&
	       physical - out->memory_physical <= out->memory_bytes - bytes;
}

static int check(struct board_info *out)
{
	if (out->cpus == 0 || out->memory_bytes == 0 || out->uart_physical == 0 || out->gic_distributor_physical == 0 ||
	    out->gic_redistributor_physical == 0 || out->timer_virtual_intid == 0) {
		return BOARD_ERR_INCOMPLETE;
	}
	if ((out->memory_physical & PAGE_MASK) != 0 || (out->memory_bytes & PAGE_MASK) != 0 ||
	    out->memory_bytes < MEMORY_BYTES_MIN || out->memory_bytes > MEMORY_TOP ||
	    out->memory_physical > MEMORY_TOP - out->memory_bytes) {
		return BOARD_ERR_VALUE;
	}
	if (out->initrd_physical != 0 || out->initrd_bytes != 0) {
		if (out->initrd_bytes < out->initrd_physical) {
			return BOARD_ERR_VALUE;
		}
		out->initrd_bytes -= out->initrd_physical;
		if (!inside_memory(out, out->initrd_physical, out->initrd_bytes)) {
			return BOARD_ERR_VALUE;
		}
	}
	return FDT_OK;
}

int board_read_tree(struct board_info *out, const struct fdt *tree)
{
	struct reader reader = {.out = out};

	*out = (struct board_info){0};
	reader.nodes[0].address_cells = 2;
	reader.nodes[0].size_cells = 1;
	int code = walk(&reader, tree);
	return code == FDT_OK ? check(out) : code;
}
