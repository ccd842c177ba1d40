// Per-CPU event rings, from the packet path to the pipeline thread, and the
// small ring of copies that MessageTrace streams.
//
// Ordering: one producer and one consumer. The producer fills an event and
// then moves head with a store-release; the consumer's load-acquire of head
// therefore sees whole events. The consumer copies and then moves tail with a
// store-release; the producer's load-acquire of tail therefore never reuses a
// place that is still being read. A full ring loses the new event and counts
// it: the window being recorded stays whole.
#include "arch/arm64/arch.h"
#include "core/hook/internal.h"
#include "core/lib/string.h"
#include "core/mem/page.h"
#include "core/sync/spinlock.h"

enum {
	RING_BYTES = sizeof(struct abi_ring_header) + ABI_RING_EVENTS * sizeof(struct abi_net_rx_event),
	RING_PAGE_ORDER = 6,   // 256 KiB: header and 128 KiB of events
	TRACE_EVENTS = 512,    // copies waiting for the control channel
};
_Static_assert((ABI_RING_EVENTS & (ABI_RING_EVENTS - 1)) == 0, "power of two");
_Static_assert(RING_BYTES <= (PAGE_BYTES << RING_PAGE_ORDER), "ring fits");

static struct {
	bool on;
	uint64_t head, tail; // producer: whoever reads the rings; consumer: control
	struct abi_net_rx_event *events;
} trace;

bool ring_init(struct ring *ring)
{
	ring->header = page_alloc(RING_PAGE_ORDER);
	if (ring->header == 0) {
		return false;
	}
	ring->events = (struct abi_net_rx_event *)(ring->header + 1);
	memset(ring->header, 0, sizeof *ring->header);
	return true;
}

void ring_reset(struct ring *ring)
{
	if (ring->header != 0) {
		memset(ring->header, 0, sizeof *ring->header);
	}
}

static void trace_offer(const struct abi_net_rx_event *event)
{
	uint64_t head = __atomic_load_n(&trace.head, __ATOMIC_RELAXED);

	if (head - load_acquire(&trace.tail) < TRACE_EVENTS) {
		trace.events[head % TRACE_EVENTS] = *event;
		store_release(&trace.head, head + 1);
	}
}

bool hook_ring_read(uint32_t cpu, struct abi_net_rx_event *event)
{
	struct abi_ring_header *header;
	struct ring *ring;
	uint64_t tail;

	if (cpu >= ABI_CPU_MAX || hook_cpus[cpu].ring.header == 0) {
		return false;
	}
	ring = &hook_cpus[cpu].ring;
	header = ring->header;
	tail = __atomic_load_n(&header->tail, __ATOMIC_RELAXED);
	if (tail == load_acquire(&header->head)) {
		return false;
	}
	*event = ring->events[tail & (ABI_RING_EVENTS - 1)];
	store_release(&header->tail, tail + 1);
	if (load_acquire(&trace.on)) {
		trace_offer(event);
	}
	return true;
}

uint64_t hook_ring_lost(uint32_t cpu)
{
	if (cpu >= ABI_CPU_MAX || hook_cpus[cpu].ring.header == 0) {
		return 0;
	}
	return __atomic_load_n(&hook_cpus[cpu].ring.header->lost, __ATOMIC_RELAXED);
}

void hook_trace_enable(bool on)
{
	enum { TRACE_PAGE_ORDER = 4 };
	_Static_assert(TRACE_EVENTS * sizeof(struct abi_net_rx_event) <= (PAGE_BYTES << TRACE_PAGE_ORDER),
		       "trace fits");

	if (on && trace.events == 0) {
		trace.events = page_alloc(TRACE_PAGE_ORDER);
	}
	store_release(&trace.on, on && trace.events != 0);
}

uint32_t hook_trace_take(struct abi_net_rx_event *events, uint32_t capacity)
{
	uint64_t tail = __atomic_load_n(&trace.tail, __ATOMIC_RELAXED);
	uint64_t head = load_acquire(&trace.head);
	uint32_t taken = 0;

	for (; taken < capacity && tail != head; taken++, tail++) {
		events[taken] = trace.events[tail % TRACE_EVENTS];
	}
	store_release(&trace.tail, tail);
	return taken;
}
