// From device tree to board_info: portable, so that the host can fuzz it.
#ifndef KERNEL_BOARD_QEMUVIRT_TREE_H
#define KERNEL_BOARD_QEMUVIRT_TREE_H

#include "board/qemuvirt/board.h"
#include "core/fdt/fdt.h"

#define BOARD_ERR_INCOMPLETE (-32) // no memory, CPU, GIC, UART or timer node
#define BOARD_ERR_VALUE (-33)      // one of them makes no sense

// FDT_OK, an fdt_code or one of the above. `out` is written whole or not at
// all as far as the caller is concerned: use it only after FDT_OK.
int board_read_tree(struct board_info *out, const struct fdt *tree);

#endif
