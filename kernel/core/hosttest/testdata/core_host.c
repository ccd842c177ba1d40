// Portable parts of the core, driven from the host through stdin and stdout:
// frames of kind (1 byte), length (4 bytes, little-endian) and bytes; one line
// of text answers each. Device trees are placed so that the byte after their
// last one cannot be read.

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "board/qemuvirt/tree.h"
#include "core/log/format.h"
#include "core/mem/buddy.h"
#include "core/mem/pool.h"

// string.c under other names: the C library's are the reference.
#define memcpy kernel_memcpy
#define memmove kernel_memmove
#define memset kernel_memset
#define memcmp kernel_memcmp
#include "core/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

#define BLOB_BYTES_MAX (4u << 20)
#define HOST_PAGE_BYTES 4096u
#define TEXT_BYTES 256
#define BUDDY_PAGES 3000 // no power of two: the last block is cut
#define POOL_OBJECTS 100

static uint8_t *fence_end; // one past the last readable byte
static uint8_t input[BLOB_BYTES_MAX];

static void make_fence(void)
{
	uint8_t *span = mmap(NULL, BLOB_BYTES_MAX + HOST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (span == MAP_FAILED || mprotect(span + BLOB_BYTES_MAX, HOST_PAGE_BYTES, PROT_NONE) != 0) {
		abort();
	}
	fence_end = span + BLOB_BYTES_MAX;
}

static void answer_tree(uint32_t bytes)
{
	uint8_t *blob = fence_end - bytes;
	struct fdt tree;
	struct board_info info;

	memcpy(blob, input, bytes);
	int code = fdt_open(&tree, blob, bytes);
	if (code == FDT_OK) {
		code = board_read_tree(&info, &tree);
	}
	if (code != FDT_OK) {
		printf("%d\n", code);
		return;
	}
	printf("0 cpus %u memory %llx+%llx uart %llx/%u virtio %u", info.cpus, (unsigned long long)info.memory_physical,
	       (unsigned long long)info.memory_bytes, (unsigned long long)info.uart_physical, info.uart_intid,
	       info.virtio_count);
	if (info.virtio_count > 0) {
		printf(" first %llx/%u", (unsigned long long)info.virtio[0].physical, info.virtio[0].intid);
	}
	printf(" gic %llx %llx timer %u initrd %llx+%llx smc %d affinity",
	       (unsigned long long)info.gic_distributor_physical, (unsigned long long)info.gic_redistributor_physical,
	       info.timer_virtual_intid, (unsigned long long)info.initrd_physical,
	       (unsigned long long)info.initrd_bytes, info.psci_smc);
	for (unsigned i = 0; i < info.cpus; i++) {
		printf(" %llx", (unsigned long long)info.cpu_affinity[i]);
	}
	// A tree may hold any bytes; the answer is one line all the same.
	printf(" bootargs ");
	for (const char *at = info.bootargs; *at != 0; at++) {
		putchar(*at >= ' ' && *at < 0x7f ? *at : '?');
	}
	putchar('\n');
}

static uint32_t word_at(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

// Commands of two words: 0 order -> first page or -1; 1 page -> 1 or 0;
// 2 page, count follow as one word each half -> adds. Last: free pages.
static void answer_buddy(uint32_t bytes)
{
	static uint8_t states[BUDDY_PAGES];
	static struct buddy buddy;
	static uint8_t *memory;

	if (memory == NULL) {
		memory = aligned_alloc(PAGE_BYTES << PAGE_ORDER_MAX, 4 * (PAGE_BYTES << PAGE_ORDER_MAX));
	}
	memset(states, 0, sizeof(states));
	buddy_init(&buddy, memory, BUDDY_PAGES, states);
	for (uint32_t at = 0; at + 8 <= bytes; at += 8) {
		uint32_t kind = word_at(input + at);
		uint32_t value = word_at(input + at + 4);
		if (kind == 0) {
			uint8_t *block = buddy_take(&buddy, value);
			if (block != NULL) {
				memset(block, 0xa5, PAGE_BYTES << value);
			}
			printf("%lld ", block == NULL ? -1ll : (long long)((block - memory) / (long)PAGE_BYTES));
		} else if (kind == 1) {
			printf("%d ", buddy_give(&buddy, memory + value * PAGE_BYTES));
		} else {
			buddy_add(&buddy, value >> 16, value & 0xffff);
		}
	}
	printf("%llu\n", (unsigned long long)buddy.free_pages);
}

// The same for a pool: 0 -> object or -1, 1 offset in bytes -> 1 or 0.
static void answer_pool(uint32_t bytes)
{
	static struct pool pool;
	static uint8_t storage[POOL_OBJECTS * 48 + 5] __attribute__((aligned(16)));

	if (pool_init(&pool, storage + 1, sizeof(storage) - 1, 40) || pool_init(&pool, storage, 8, 40) ||
	    pool_init(&pool, storage, sizeof(storage), 0) || !pool_init(&pool, storage, sizeof(storage), 40)) {
		printf("init\n");
		return;
	}
	for (uint32_t at = 0; at + 8 <= bytes; at += 8) {
		uint32_t kind = word_at(input + at);
		uint32_t value = word_at(input + at + 4);
		if (kind == 0) {
			uint8_t *object = pool_take(&pool);
			if (object != NULL) {
				memset(object, 0xa5, 40);
			}
			printf("%lld ", object == NULL ? -1ll : (long long)(object - storage));
		} else {
			printf("%d ", pool_give(&pool, storage + value));
		}
	}
	printf("%llu\n", (unsigned long long)pool.used);
}

static int same_line(const char *format, ...)
{
	char ours[TEXT_BYTES], theirs[TEXT_BYTES];
	va_list arguments, again;

	va_start(arguments, format);
	va_copy(again, arguments);
	uint32_t bytes = format_line(ours, sizeof(ours), format, arguments);
	int expected = vsnprintf(theirs, sizeof(theirs), format, again);
	va_end(again);
	va_end(arguments);
	if (bytes != (uint32_t)expected + 1 || ours[bytes - 1] != '\n' || memcmp(ours, theirs, (size_t)expected) != 0) {
		printf("%s -> %.*s", format, (int)bytes, ours);
		return 0;
	}
	return 1;
}

static void answer_format(void)
{
	char ours[8];
	int good = same_line("plain") && same_line("%d %d %d", 0, -1, 2147483647) &&
		   same_line("%u %x", 4294967295u, 0xdeadbeefu) && same_line("%08x|%8d", 0x1f, -42) &&
		   same_line("%016llx %llu", 0x123456789abcdefull, ~0ull) &&
		   same_line("%lld %ld", -9223372036854775807ll - 1, -5l) &&
		   same_line("%5u|%05u|%5d|%05d", 7u, 7u, -7, -7) && same_line("%s%% %c", "text", 'z') &&
		   same_line("%zu", (size_t)99);

	if (!good) {
		putchar('\n');
		return;
	}
	// Cut at the buffer's end, newline kept, control characters made visible.
	va_list none;
	memset(&none, 0, sizeof(none));
	uint32_t bytes = format_line(ours, sizeof(ours), "0123456789", none);
	printf(bytes == 8 && memcmp(ours, "0123456\n", 8) == 0 ? "ok\n" : "cut\n");
}

// 2,000 random pieces against the C library.
static void answer_string(uint32_t seed)
{
	static uint8_t ours[512], theirs[512];

	srand(seed);
	for (int round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(ours); i++) {
			ours[i] = theirs[i] = (uint8_t)(rand() >> 3);
		}
		size_t from = (size_t)rand() % 256, to = (size_t)rand() % 256;
		size_t bytes = (size_t)rand() % 256;
		kernel_memmove(ours + to, ours + from, bytes);
		memmove(theirs + to, theirs + from, bytes);
		kernel_memset(ours + from, round, bytes / 3);
		memset(theirs + from, round, bytes / 3);
		if (bytes < 200) {
			kernel_memcpy(ours + 300, ours + to % 64, bytes);
			memcpy(theirs + 300, theirs + to % 64, bytes);
		}
		int a = kernel_memcmp(ours + from, ours + to, bytes);
		int b = memcmp(theirs + from, theirs + to, bytes);
		if (memcmp(ours, theirs, sizeof(ours)) != 0 || (a < 0) != (b < 0) || (a > 0) != (b > 0)) {
			printf("round %d\n", round);
			return;
		}
	}
	printf("ok\n");
}

int main(void)
{
	uint8_t header[5];

	make_fence();
	while (fread(header, 1, sizeof(header), stdin) == sizeof(header)) {
		uint32_t bytes = word_at(header + 1);
		if (bytes > BLOB_BYTES_MAX || fread(input, 1, bytes, stdin) != bytes) {
			return 2;
		}
		switch (header[0]) {
		case 't':
			answer_tree(bytes);
			break;
		case 'b':
			answer_buddy(bytes);
			break;
		case 'p':
			answer_pool(bytes);
			break;
		case 'f':
			answer_format();
			break;
		case 's':
			answer_string(word_at(input));
			break;
		default:
			return 3;
		}
		fflush(stdout);
	}
	return 0;
}
