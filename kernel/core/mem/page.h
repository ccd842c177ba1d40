// Physical pages: a buddy allocator over what the device tree calls memory,
// less the image, the device tree and the initrd. Pages are not cleared.
#ifndef KERNEL_CORE_MEM_PAGE_H
#define KERNEL_CORE_MEM_PAGE_H

#include <stdint.h>

#define PAGE_BYTES 4096ull
#define PAGE_SHIFT 12
#define PAGE_ORDER_MAX 10 // 4 MiB

void page_init(void);

// 2^order pages, aligned to their size; NULL when there are none.
void *page_alloc(unsigned order);
// The order is remembered; a pointer that page_alloc did not return panics.
void page_free(void *pages);
uint64_t page_free_bytes(void);

// Any address in the image, a stack or an allocated page; the linear map is
// virtual = physical + a constant.
uint64_t virt_to_phys(const void *address);
void *phys_to_virt(uint64_t physical);

// Registers of a device, mapped uncached and never executable.
void *mmio_map(uint64_t physical, uint64_t bytes);

#endif
