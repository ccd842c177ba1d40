// What the device tree says about this machine. Filled once at boot; all
// addresses are physical.
//
//   0x08000000  GICv3 distributor      0x40000000  memory
//   0x080a0000  GICv3 redistributors   0x40200000  the image (text_offset)
//   0x09000000  PL011                  half way up initrd, then device tree
//   0x0a000000  32 virtio-mmio slots
//
// The map is QEMU's; apart from the image's place nothing relies on it.
#ifndef KERNEL_BOARD_QEMUVIRT_BOARD_H
#define KERNEL_BOARD_QEMUVIRT_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_VIRTIO_MAX 32
#define BOARD_CPUS_MAX 8
#define BOARD_BOOTARGS_BYTES 256

struct board_virtio {
	uint64_t physical;
	uint64_t bytes;
	unsigned intid;
};

struct board_info {
	uint64_t uart_physical;
	unsigned uart_intid;
	struct board_virtio virtio[BOARD_VIRTIO_MAX];
	unsigned virtio_count;
	uint64_t initrd_physical, initrd_bytes;
	uint64_t memory_physical, memory_bytes;
	uint64_t tree_physical, tree_bytes;
	char bootargs[BOARD_BOOTARGS_BYTES]; // always terminated
	unsigned cpus;
	uint64_t cpu_affinity[BOARD_CPUS_MAX];
	uint64_t gic_distributor_physical, gic_distributor_bytes;
	uint64_t gic_redistributor_physical, gic_redistributor_bytes;
	unsigned timer_virtual_intid;
	bool psci_smc; // conduit: smc, else hvc
};

extern struct board_info board;

// Read the tree at this physical address into `board`; panics if it is not
// usable.
void board_init(uint64_t tree_physical);

// The value of `name=value` in bootargs, or NULL; *bytes is its length. A bare
// word `name` gives an empty value.
const char *board_argument(const char *name, uint32_t *bytes);

#endif
