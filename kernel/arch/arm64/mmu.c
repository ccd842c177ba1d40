// Builds, switches to and checks the kernel's translation tables.
//
// Four levels, 4 KiB granule: level 0 entries cover 512 GiB, 1: 1 GiB,
// 2: 2 MiB, 3: 4 KiB. Everything lives in the linear map:
//
//   image text                 read-only, executable
//   image rodata               read-only
//   image data, bss            writable
//   stacks                     writable, guard pages absent
//   compiled programs          writable, or read-only and executable
//   all other memory           writable
//   devices, on request        writable, uncached

#include "arch/arm64/mmu.h"

#include "arch/arm64/arch.h"
#include "arch/arm64/offsets.h"
#include "arch/arm64/stack.h"
#include "board/qemuvirt/board.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sync/spinlock.h"

#define ENTRIES 512
#define LAST_LEVEL 3
#define LEVEL_SHIFT(level) (39 - 9 * (level))
#define LEVEL_BYTES(level) (1ull << LEVEL_SHIFT(level))
#define VIRTUAL_BITS_MASK ((1ull << 48) - 1)

// Level 0 and 1, level 2 for devices and for memory (2 GiB at 1 GiB each, with
// room for unaligned ends), level 3 for the image, the stacks, and devices.
#define TABLES_MAX 40

#define ENTRY_VALID 1ull
#define ENTRY_TABLE 3ull // and, at the last level, a page
#define ENTRY_ADDRESS 0x0000fffffffff000ull
#define ENTRY_DEVICE (1ull << 2) // MAIR index 1
#define ENTRY_READONLY (1ull << 7)
#define ENTRY_SHARED (3ull << 8)
#define ENTRY_ACCESSED (1ull << 10)
#define ENTRY_NO_KERNEL_EXECUTE MMU_NO_EXECUTE
#define ENTRY_NO_USER_EXECUTE (1ull << 54)

#define RIGHTS_DATA (ENTRY_SHARED | ENTRY_ACCESSED | ENTRY_NO_KERNEL_EXECUTE | ENTRY_NO_USER_EXECUTE)
#define RIGHTS_RODATA (RIGHTS_DATA | ENTRY_READONLY)
#define RIGHTS_TEXT (ENTRY_SHARED | ENTRY_ACCESSED | ENTRY_READONLY | ENTRY_NO_USER_EXECUTE)
#define RIGHTS_DEVICE (ENTRY_DEVICE | ENTRY_ACCESSED | ENTRY_NO_KERNEL_EXECUTE | ENTRY_NO_USER_EXECUTE)

typedef uint64_t table[ENTRIES];

extern uint8_t image_start[], text_end[], rodata_end[], stacks_end[], image_end[];
extern uint8_t code_pages[], code_pages_end[];

static table tables[TABLES_MAX] __attribute__((aligned(4096)));
static unsigned tables_used;
static struct spinlock tables_lock;

uint64_t kernel_root_physical; // boot.S gives it to the other CPUs
bool mmu_wxorx_verified;
struct mmu_census mmu_census;

void mmu_drop_identity(void);

uint64_t virt_to_phys(const void *address)
{
	return (uint64_t)address - LINEAR_OFFSET;
}

void *phys_to_virt(uint64_t physical)
{
	return (void *)(physical + LINEAR_OFFSET);
}

static uint64_t *table_new(void)
{
	if (tables_used == TABLES_MAX) {
		panic("mmu: all %u tables are used", TABLES_MAX);
	}
	return tables[tables_used++]; // in .bss: clear
}

// The table below `entry`, made if absent.
static uint64_t *table_below(uint64_t *entry)
{
	if ((*entry & ENTRY_VALID) == 0) {
		uint64_t *below = table_new();
		smp_wmb(); // a walker must see the table empty
		*entry = virt_to_phys(below) | ENTRY_TABLE;
		return below;
	}
	if ((*entry & ENTRY_TABLE) != ENTRY_TABLE) {
		panic("mmu: a block is where a table is needed");
	}
	return phys_to_virt(*entry & ENTRY_ADDRESS);
}

// Fill entries of one table; returns the bytes covered.
static uint64_t fill(uint64_t *entries, unsigned level, uint64_t physical, uint64_t bytes, uint64_t rights)
{
	uint64_t step = LEVEL_BYTES(level);
	uint64_t first = physical >> LEVEL_SHIFT(level) & (ENTRIES - 1);
	uint64_t count = bytes / step;
	uint64_t kind = level == LAST_LEVEL ? ENTRY_TABLE : ENTRY_VALID;

	if (count > ENTRIES - first) {
		count = ENTRIES - first;
	}
	for (uint64_t i = 0; i < count; i++) {
		entries[first + i] = (physical + i * step) | rights | kind;
	}
	return count * step;
}

// Map physical memory at its linear address with the largest blocks that fit.
static void map(uint64_t physical, uint64_t bytes, uint64_t rights)
{
	uint64_t *root = tables[0];

	while (bytes > 0) {
		unsigned level = 1;
		while (level < LAST_LEVEL && (physical % LEVEL_BYTES(level) != 0 || bytes < LEVEL_BYTES(level))) {
			level++;
		}
		uint64_t *entries = root;
		for (unsigned above = 0; above < level; above++) {
			entries = table_below(&entries[physical >> LEVEL_SHIFT(above) & (ENTRIES - 1)]);
		}
		// Small pages only up to where a larger block could begin.
		uint64_t run = bytes;
		uint64_t to_boundary = LEVEL_BYTES(level - 1) - physical % LEVEL_BYTES(level - 1);
		if (run > to_boundary) {
			run = to_boundary;
		}
		uint64_t covered = fill(entries, level, physical, run, rights);
		physical += covered;
		bytes -= covered;
	}
	__asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

static void map_image(const uint8_t *from, const uint8_t *to, uint64_t rights)
{
	map(virt_to_phys(from), (uint64_t)(to - from), rights);
}

static void map_stacks(void)
{
	for (unsigned slot = 0; slot < STACK_SLOTS; slot++) {
		uint64_t physical = virt_to_phys(stack_slots) + (uint64_t)slot * STACK_SLOT_BYTES;
		map(physical + STACK_GUARD_BYTES, STACK_SLOT_BYTES - STACK_GUARD_BYTES, RIGHTS_DATA);
	}
}

void *mmio_map(uint64_t physical, uint64_t bytes)
{
	uint64_t first = physical & ~(PAGE_BYTES - 1);
	uint64_t end = (physical + bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	uint64_t state = spin_lock_irqsave(&tables_lock);

	map(first, end - first, RIGHTS_DEVICE);
	spin_unlock_irqrestore(&tables_lock, state);
	return phys_to_virt(physical);
}

// Give pages of the code pool other rights. Only rights change, so no
// break-before-make is needed (Arm ARM D8.14.1); when this returns, no CPU
// translates by the old entries.
static void set_rights(const uint8_t *pages, uint64_t bytes, uint64_t rights)
{
	uint64_t state = spin_lock_irqsave(&tables_lock);

	if (pages < code_pages || pages + bytes > code_pages_end) {
		panic("mmu: %p is not in the code pool", (const void *)pages);
	}
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
		uint64_t *entry = mmu_leaf(pages + at);
		__atomic_store_n(entry, virt_to_phys(pages + at) | rights | ENTRY_TABLE, __ATOMIC_RELAXED);
	}
	__asm__ volatile("dsb ishst" ::: "memory");
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
		// VA[55:12], every ASID, every CPU of the inner shareable domain
		uint64_t operand = (uint64_t)(pages + at) >> 12 & ((1ull << 44) - 1);
		__asm__ volatile("tlbi vaae1is, %0" ::"r"(operand) : "memory");
	}
	__asm__ volatile("dsb ish\n\tisb" ::: "memory");
	spin_unlock_irqrestore(&tables_lock, state);
}

void mmu_make_data(const uint8_t *pages, uint64_t bytes)
{
	set_rights(pages, bytes, RIGHTS_DATA);
}

// The sequence of Arm ARM B2.4.4: what was written is cleaned to the point of
// unification, then instruction caches forget what they had. The instruction
// synchronization on other CPUs is code_synchronize's.
void mmu_make_code(const uint8_t *pages, uint64_t bytes)
{
	uint64_t types;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(types));
	uint64_t data_line = 4ull << (types >> 16 & 15), instruction_line = 4ull << (types & 15);
	for (uint64_t at = 0; at < bytes; at += data_line) {
		__asm__ volatile("dc cvau, %0" ::"r"(pages + at) : "memory");
	}
	__asm__ volatile("dsb ish" ::: "memory");
	set_rights(pages, bytes, RIGHTS_TEXT);
	for (uint64_t at = 0; at < bytes; at += instruction_line) {
		__asm__ volatile("ic ivau, %0" ::"r"(pages + at) : "memory");
	}
	__asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

// Count one leaf; false if it is writable and executable.
static bool census(uint64_t entry, unsigned level)
{
	bool writable = (entry & ENTRY_READONLY) == 0;
	bool executable = (entry & ENTRY_NO_KERNEL_EXECUTE) == 0 || (entry & ENTRY_NO_USER_EXECUTE) == 0;

	if (executable) {
		mmu_census.executable_bytes += LEVEL_BYTES(level);
	} else if (writable) {
		mmu_census.writable_bytes += LEVEL_BYTES(level);
	} else {
		mmu_census.readonly_bytes += LEVEL_BYTES(level);
	}
	return !(writable && executable);
}

// Recursion is bounded by the four levels.
static bool verify_table(const uint64_t *entries, unsigned level)
{
	bool good = true;

	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t entry = entries[i];
		if ((entry & ENTRY_VALID) == 0) {
			continue;
		}
		if (level < LAST_LEVEL && (entry & ENTRY_TABLE) == ENTRY_TABLE) {
			good &= verify_table(phys_to_virt(entry & ENTRY_ADDRESS), level + 1);
		} else {
			good &= census(entry, level);
		}
	}
	return good;
}

uint64_t *mmu_leaf(const void *address)
{
	uint64_t *entries = tables[0];

	for (unsigned level = 0;; level++) {
		uint64_t *entry = &entries[(uint64_t)address >> LEVEL_SHIFT(level) & (ENTRIES - 1)];
		if ((*entry & ENTRY_VALID) == 0) {
			return 0;
		}
		if (level == LAST_LEVEL || (*entry & ENTRY_TABLE) != ENTRY_TABLE) {
			return entry;
		}
		entries = phys_to_virt(*entry & ENTRY_ADDRESS);
	}
}

// Walks what the hardware walks: the root is read back from TTBR1_EL1, and the
// other half must be switched off.
bool mmu_verify_wxorx(void)
{
	uint64_t root, control;

	__asm__ volatile("mrs %0, ttbr1_el1" : "=r"(root));
	__asm__ volatile("mrs %0, tcr_el1" : "=r"(control));
	mmu_census = (struct mmu_census){0};
	bool user_half_off = (control & 1u << 7) != 0;
	return verify_table(phys_to_virt(root & ENTRY_ADDRESS), 0) && user_half_off;
}

void mmu_init(void)
{
	uint64_t memory_end = board.memory_physical + board.memory_bytes;

	table_new(); // the root, tables[0]
	map(board.memory_physical, virt_to_phys(image_start) - board.memory_physical, RIGHTS_DATA);
	map_image(image_start, text_end, RIGHTS_TEXT);
	map_image(text_end, rodata_end, RIGHTS_RODATA);
	map_image(rodata_end, stack_slots, RIGHTS_DATA);
	map_stacks();
	map_image(stacks_end, code_pages, RIGHTS_DATA);
	map_image(code_pages, code_pages_end, RIGHTS_DATA); // by itself: in pages
	map_image(code_pages_end, image_end, RIGHTS_DATA);
	map(virt_to_phys(image_end), memory_end - virt_to_phys(image_end), RIGHTS_DATA);
	mmio_map(board.uart_physical, PAGE_BYTES); // the log is on it already
	kernel_root_physical = virt_to_phys(tables[0]);
	// The other CPUs read it before their caches are on.
	__asm__ volatile("dc cvac, %0\n\tdsb sy" ::"r"(&kernel_root_physical) : "memory");
	// Old and new table agree on every address in use, and differ in block
	// size: strict hardware wants this step made from the identity map.
	__asm__ volatile("msr ttbr1_el1, %0\n\tisb\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::"r"(kernel_root_physical)
			 : "memory");
	mmu_drop_identity();
	mmu_wxorx_verified = mmu_verify_wxorx();
	if (!mmu_wxorx_verified) {
		panic("mmu: a page is writable and executable");
	}
}
