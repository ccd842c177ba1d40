// Address translation: one set of tables for the kernel half, W^X by
// construction and by SCTLR_EL1.WXN, checked by a walk at boot.
#ifndef KERNEL_ARCH_ARM64_MMU_H
#define KERNEL_ARCH_ARM64_MMU_H

#include <stdbool.h>
#include <stdint.h>

// Distance between a physical address and its place in the linear map.
#define LINEAR_OFFSET 0xffff000000000000ull

// Build the final tables from the board's memory, switch to them, drop the
// identity map and verify W^X. CPU 0 only.
void mmu_init(void);

// Walk every table; false if any page is both writable and executable.
bool mmu_verify_wxorx(void);

// The entry that maps an address, for exercises; NULL where nothing is mapped.
// Bit 53 of it keeps the kernel from executing there.
uint64_t *mmu_leaf(const void *address);
#define MMU_NO_EXECUTE (1ull << 53)

// Pages of the code pool: writable and not executable, or executable and not
// writable, with the caches told. No CPU may be running in them.
void mmu_make_data(const uint8_t *pages, uint64_t bytes);
void mmu_make_code(const uint8_t *pages, uint64_t bytes);

// Set by mmu_init when the walk found no such page.
extern bool mmu_wxorx_verified;

// Pages the last walk found mapped, by right; for the boot report.
struct mmu_census {
	uint64_t executable_bytes;
	uint64_t readonly_bytes;
	uint64_t writable_bytes;
};
extern struct mmu_census mmu_census;

#endif
