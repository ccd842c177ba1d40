// The parts of the hook that run for every packet, inline in hook.c: the flow
// table's look-up (see flow.c) and the write of one event (see ring.c).
#ifndef CORE_HOOK_PATH_H
#define CORE_HOOK_PATH_H

#include "core/hook/internal.h"
#include "core/lib/string.h"
#include "core/sync/spinlock.h"

enum {
	FLOW_SOURCE_OFFSET = 26, // Ethernet 14 + 12 into the IPv4 header
	FLOW_HEADERS_BYTES = 34, // Ethernet and IPv4 without options
};

// Fibonacci hashing: the top bits of a multiplication by 2^32 / golden ratio.
static inline uint32_t flow_set_of(uint32_t address)
{
	return (address * 0x9e3779b1u) >> 24;
}
_Static_assert(FLOW_SETS == 256, "flow_set_of keeps 8 bits");

static inline struct flow *flow_find(struct flow *set, uint32_t address)
{
	struct flow *oldest = set;

	for (unsigned way = 0; way < FLOW_WAYS; way++) {
		if (set[way].packets == 0) {
			return &set[way];
		}
		if (set[way].address == address) {
			return &set[way];
		}
		// Sequence numbers wrap at 2^32; their distance does not mislead
		// unless a flow was silent for 2^31 packets.
		if ((int32_t)(set[way].touched - oldest->touched) < 0) {
			oldest = &set[way];
		}
	}
	oldest->packets = 0;
	return oldest;
}

// Counts the packet and fills the context's flow fields; zero for a packet
// without an IPv4 source address.
static inline void flow_touch(struct flow_table *table, const uint8_t *packet, uint32_t bytes,
			      const struct hook_decision *decision, struct abi_net_rx_context *context)
{
	uint32_t window = (uint32_t)(decision->sequence / HOOK_FLOW_WINDOW_PACKETS);
	uint64_t now = decision->time_ns, age;
	struct flow *flow;
	uint32_t address;

	context->flow_packets = 0;
	context->flow_age_ns = 0;
	if (bytes < FLOW_HEADERS_BYTES || packet[12] != 0x08 || packet[13] != 0x00 || table->sets == 0) {
		return;
	}
	__builtin_memcpy(&address, packet + FLOW_SOURCE_OFFSET, sizeof address);
	flow = flow_find(table->sets[flow_set_of(address)], address);
	if (flow->packets == 0) {
		flow->address = address;
		flow->first_ns = now;
		flow->window = window;
	} else if (flow->window != window) {
		flow->window = window;
		flow->packets = 0;
	}
	if (flow->packets != UINT32_MAX) {
		flow->packets++;
	}
	flow->touched = (uint32_t)decision->sequence;
	age = now - flow->first_ns;
	context->flow_packets = flow->packets;
	context->flow_age_ns = age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

// The first bytes of the packet, in whole words that overlap at the end rather
// than in a loop: the snap is on the path of every packet. Bytes past the count
// keep what an older event left there.
static inline uint32_t copy_snap(uint8_t *snap, const uint8_t *packet, uint32_t bytes)
{
	if (bytes >= ABI_EVENT_SNAP_BYTES) {
		__builtin_memcpy(snap, packet, ABI_EVENT_SNAP_BYTES);
		return ABI_EVENT_SNAP_BYTES;
	}
	if (bytes >= 64) {
		__builtin_memcpy(snap, packet, 64);
		__builtin_memcpy(snap + bytes - 24, packet + bytes - 24, 24);
	} else if (bytes >= 32) {
		__builtin_memcpy(snap, packet, 32);
		__builtin_memcpy(snap + bytes - 32, packet + bytes - 32, 32);
	} else {
		memcpy(snap, packet, bytes);
	}
	return bytes;
}
_Static_assert(ABI_EVENT_SNAP_BYTES == 64 + 24, "copy_snap covers 64 to 87 bytes");

static inline void ring_write(struct ring *ring, uint32_t cpu, const struct abi_net_rx_context *context,
			      const uint8_t *packet, uint32_t bytes, const struct hook_decision *decision,
			      uint8_t outcome, uint32_t cost_insn)
{
	struct abi_ring_header *header = ring->header;
	struct abi_net_rx_event *event;
	uint64_t head;

	if (header == 0) {
		return;
	}
	head = __atomic_load_n(&header->head, __ATOMIC_RELAXED);
	if (head - load_acquire(&header->tail) >= ABI_RING_EVENTS) {
		__atomic_store_n(&header->lost, header->lost + 1, __ATOMIC_RELAXED);
		return;
	}
	event = &ring->events[head & (ABI_RING_EVENTS - 1)];
	event->sequence = decision->sequence;
	event->time_ns = decision->time_ns;
	event->cost_insn = cost_insn;
	event->slot_version = decision->slot_version;
	event->flow_packets = context->flow_packets;
	event->flow_age_ns = context->flow_age_ns;
	event->packet_bytes = (uint16_t)bytes;
	event->snap_bytes = (uint16_t)copy_snap(event->snap, packet, bytes);
	event->cpu = (uint8_t)cpu;
	event->action = (uint8_t)decision->action;
	event->outcome = outcome;
	event->flags = decision->flags;
	store_release(&header->head, head + 1);
}

#endif
