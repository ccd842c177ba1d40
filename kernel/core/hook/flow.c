// What each CPU remembers about source addresses: how many packets in the
// current window, and since when. A window is HOOK_FLOW_WINDOW_PACKETS packets
// of this CPU, not a span of time, so that a count does not depend on how fast
// the programs before it were.
//
// 256 sets of 4 ways, 24 bytes per entry: 24 KiB per CPU. A full set gives up
// the entry that was silent longest.
#include "core/hook/internal.h"
#include "core/lib/string.h"
#include "core/mem/page.h"

enum {
	TABLE_BYTES = FLOW_SETS * FLOW_WAYS * sizeof(struct flow),
	TABLE_PAGE_ORDER = 3, // 32 KiB
	SOURCE_OFFSET = 26,   // Ethernet 14 + 12 into the IPv4 header
	HEADERS_BYTES = 34,   // Ethernet and IPv4 without options
};
_Static_assert(TABLE_BYTES <= (PAGE_BYTES << TABLE_PAGE_ORDER), "table fits");

bool flow_init(struct flow_table *table)
{
	table->sets = page_alloc(TABLE_PAGE_ORDER);
	if (table->sets == 0) {
		return false;
	}
	flow_reset(table);
	return true;
}

void flow_reset(struct flow_table *table)
{
	if (table->sets != 0) {
		memset(table->sets, 0, TABLE_BYTES);
	}
}

// Fibonacci hashing: the top bits of a multiplication by 2^32 / golden ratio.
static uint32_t set_of(uint32_t address)
{
	return (address * 0x9e3779b1u) >> 24;
}
_Static_assert(FLOW_SETS == 256, "set_of keeps 8 bits");

static struct flow *find(struct flow *set, uint32_t address)
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

void flow_touch(struct flow_table *table, const uint8_t *packet, uint32_t bytes,
		const struct hook_decision *decision, struct abi_net_rx_context *context)
{
	uint32_t window = (uint32_t)(decision->sequence / HOOK_FLOW_WINDOW_PACKETS);
	uint64_t now = decision->time_ns, age;
	struct flow *flow;
	uint32_t address;

	context->flow_packets = 0;
	context->flow_age_ns = 0;
	if (bytes < HEADERS_BYTES || packet[12] != 0x08 || packet[13] != 0x00 ||
	    table->sets == 0) {
		return;
	}
	__builtin_memcpy(&address, packet + SOURCE_OFFSET, sizeof address);
	flow = find(table->sets[set_of(address)], address);
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
