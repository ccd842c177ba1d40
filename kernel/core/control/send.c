// Frames out: a bounded byte queue between any thread and the one that writes
// to the console. A frame goes in whole or not at all.
//
// Ordering: producers hold `lock`; the writer thread alone moves `tail`, with
// a store-release after the console has copied the bytes, so that producers
// (load-acquire under the lock) never write where it still reads.
#include "arch/arm64/arch.h"
#include "core/control/control.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "drivers/virtio/console.h"

enum {
	QUEUE_PAGE_ORDER = 6, // 256 KiB: three frames of the largest size
	QUEUE_BYTES = 4096 << QUEUE_PAGE_ORDER,
	CHUNK_BYTES = 8192, // written at a time, so that room appears in steps
	ROOM_POLL_NS = 200000,
	ROOM_POLLS_MAX = 50000, // 10 virtual seconds
};

#define FNV32_OFFSET 0x811c9dc5u
#define FNV32_PRIME 0x01000193u

static struct {
	struct spinlock lock;
	uint8_t *bytes;
	uint64_t head, tail;
	uint64_t dropped_frames;
	struct event pending;
} queue;

static void copy_in(uint64_t at, const uint8_t *bytes, uint32_t count)
{
	uint32_t place = (uint32_t)(at % QUEUE_BYTES);
	uint32_t first = QUEUE_BYTES - place < count ? QUEUE_BYTES - place : count;

	memcpy(queue.bytes + place, bytes, first);
	memcpy(queue.bytes, bytes + first, count - first);
}

static bool try_put(const uint8_t *header, uint32_t header_bytes, const uint8_t *payload, uint32_t payload_bytes)
{
	uint64_t state = spin_lock_irqsave(&queue.lock);
	uint64_t used = queue.head - load_acquire(&queue.tail);
	bool fits = QUEUE_BYTES - used >= (uint64_t)header_bytes + payload_bytes;

	if (fits) {
		copy_in(queue.head, header, header_bytes);
		copy_in(queue.head + header_bytes, payload, payload_bytes);
		store_release(&queue.head, queue.head + header_bytes + payload_bytes);
	}
	spin_unlock_irqrestore(&queue.lock, state);
	return fits;
}

static void put(const uint8_t *header, uint32_t header_bytes, const uint8_t *payload, uint32_t payload_bytes)
{
	if (queue.bytes == 0) {
		return;
	}
	for (uint32_t polls = 0; !try_put(header, header_bytes, payload, payload_bytes); polls++) {
		if (irq_masked() || polls == ROOM_POLLS_MAX) {
			__atomic_fetch_add(&queue.dropped_frames, 1, __ATOMIC_RELAXED);
			return;
		}
		thread_sleep_ns(ROOM_POLL_NS);
	}
	event_signal(&queue.pending);
}

void control_send(const uint8_t *bytes, uint32_t count)
{
	if (count <= ABI_FRAME_HEADER_BYTES + ABI_FRAME_PAYLOAD_MAX) {
		put(bytes, count, bytes, 0);
	}
}

static uint32_t checksum_part(uint32_t sum, const void *bytes, uint32_t count)
{
	const uint8_t *at = bytes;

	for (uint32_t i = 0; i < count; i++) {
		sum = (sum ^ at[i]) * FNV32_PRIME;
	}
	return sum;
}

void control_send_message(uint16_t type, uint32_t sequence, const void *payload, uint32_t payload_bytes)
{
	struct abi_frame_header header = {
		.magic = ABI_FRAME_MAGIC,
		.version = ABI_VERSION,
		.type = type,
		.length = payload_bytes,
		.sequence = sequence,
	};
	uint32_t sum = FNV32_OFFSET;

	if (payload_bytes > ABI_FRAME_PAYLOAD_MAX) {
		return;
	}
	sum = checksum_part(sum, &header.type, sizeof header.type);
	sum = checksum_part(sum, &header.length, sizeof header.length);
	sum = checksum_part(sum, &header.sequence, sizeof header.sequence);
	header.checksum = checksum_part(sum, payload, payload_bytes);
	put((const uint8_t *)&header, sizeof header, payload, payload_bytes);
}

static void writer_thread(void *unused)
{
	(void)unused;
	for (;;) {
		uint64_t head = load_acquire(&queue.head), tail = queue.tail;

		if (head == tail) {
			event_wait(&queue.pending);
			continue;
		}
		uint32_t place = (uint32_t)(tail % QUEUE_BYTES);
		uint64_t chunk = head - tail;

		chunk = chunk < CHUNK_BYTES ? chunk : CHUNK_BYTES;
		chunk = chunk < QUEUE_BYTES - place ? chunk : QUEUE_BYTES - place;
		console_write(queue.bytes + place, (uint32_t)chunk);
		store_release(&queue.tail, tail + chunk);
	}
}

void control_flush(void)
{
	for (uint32_t polls = 0; polls < ROOM_POLLS_MAX; polls++) {
		if (load_acquire(&queue.tail) == load_acquire(&queue.head)) {
			break;
		}
		thread_sleep_ns(ROOM_POLL_NS);
	}
	console_flush();
}

uint64_t control_dropped_frames(void)
{
	return __atomic_load_n(&queue.dropped_frames, __ATOMIC_RELAXED);
}

void control_start(void)
{
	static bool started;

	if (__atomic_exchange_n(&started, true, __ATOMIC_ACQ_REL)) {
		return;
	}
	queue.bytes = page_alloc(QUEUE_PAGE_ORDER);
	event_init(&queue.pending);
	if (queue.bytes == 0 || thread_create("control.send", writer_thread, 0, SCHED_PRIORITY_CONTROL, 0, 0) == 0) {
		panic("control: no memory or thread for the channel");
	}
}
