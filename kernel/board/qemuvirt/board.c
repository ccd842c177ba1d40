// The board of this run, from the device tree the loader passed.

#include "board/qemuvirt/board.h"

#include "board/qemuvirt/tree.h"
#include "core/log/log.h"
#include "core/mem/page.h"

// The boot table maps one gigabyte of memory; the tree must lie in it.
#define BOOT_MEMORY_PHYSICAL 0x40000000ull
#define BOOT_MEMORY_BYTES (1ull << 30)

extern uint8_t image_end[];

struct board_info board;

void board_init(uint64_t tree_physical)
{
	struct fdt tree;

	if (tree_physical < BOOT_MEMORY_PHYSICAL || tree_physical >= BOOT_MEMORY_PHYSICAL + BOOT_MEMORY_BYTES) {
		panic("board: no device tree at %llx", (unsigned long long)tree_physical);
	}
	int code =
		fdt_open(&tree, phys_to_virt(tree_physical), BOOT_MEMORY_PHYSICAL + BOOT_MEMORY_BYTES - tree_physical);
	if (code == FDT_OK) {
		code = board_read_tree(&board, &tree);
	}
	if (code != FDT_OK) {
		panic("board: device tree refused, code %d", code);
	}
	if (board.memory_physical > BOOT_MEMORY_PHYSICAL ||
	    virt_to_phys(image_end) > board.memory_physical + board.memory_bytes) {
		panic("board: memory does not hold the image");
	}
	board.tree_physical = tree_physical;
	board.tree_bytes = tree.bytes;
}

const char *board_argument(const char *name, uint32_t *bytes)
{
	const char *at = board.bootargs;

	while (*at != 0) {
		uint32_t i = 0;
		while (name[i] != 0 && at[i] == name[i]) {
			i++;
		}
		if (name[i] == 0 && (at[i] == 0 || at[i] == ' ' || at[i] == '=')) {
			const char *value = at[i] == '=' ? at + i + 1 : at + i;
			uint32_t length = 0;
			while (value[length] != 0 && value[length] != ' ') {
				length++;
			}
			*bytes = at[i] == '=' ? length : 0;
			return value;
		}
		while (*at != 0 && *at != ' ') {
			at++;
		}
		while (*at == ' ') {
			at++;
		}
	}
	return 0;
}
