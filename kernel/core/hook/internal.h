// Per-CPU state of the hook, shared by hook.c, flow.c and ring.c only.
#ifndef CORE_HOOK_INTERNAL_H
#define CORE_HOOK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"
#include "core/hook/hook.h"

enum { CACHE_LINE_BYTES = 64 };

enum { FLOW_WAYS = 4, FLOW_SETS = HOOK_FLOW_ENTRIES / FLOW_WAYS };

// One source address. Empty while packets == 0.
struct flow {
	uint64_t first_ns;
	uint32_t address;
	uint32_t window;	 // number of the window `packets` counts in
	uint32_t packets; // in that window
	uint32_t touched; // sequence of its last packet, the oldest is replaced
};

struct flow_table {
	struct flow (*sets)[FLOW_WAYS];
};

// abi.RingHeader and its events, in pages of their own.
struct ring {
	struct abi_ring_header *header;
	struct abi_net_rx_event *events;
};

struct hook_cpu {
	// Written by this CPU for every packet.
	_Alignas(CACHE_LINE_BYTES) uint64_t entered;
	uint64_t left;
	uint64_t ended; // packets that reached hook_net_rx_done
	uint64_t drops; // of the version below, for the audit
	uint32_t audit_version;
	uint64_t synchronized; // slot word whose code this CPU may run
	uint32_t interpreted; // panics of the interpreter still wanted before it may
	struct ring ring;
	struct flow_table flows;
	_Alignas(CACHE_LINE_BYTES) struct abi_net_rx_stats stats;
	// Written by publishers.
	_Alignas(CACHE_LINE_BYTES) uint64_t current;
	uint64_t retired[HOOK_VERSIONS];
};

extern struct hook_cpu hook_cpus[ABI_CPU_MAX];

bool ring_init(struct ring *ring);
void ring_reset(struct ring *ring);
bool flow_init(struct flow_table *table);
void flow_reset(struct flow_table *table);

#endif
