// Builds the index: where each packet lies, which packets make a flow, which
// flows a CPU may draw in each family, and the digest each payload must have
// when it arrives. Runs once, outside every measured window.
//
// The blob was validated in Go before; the walk here checks again what it
// relies on, because a wrong offset would be a wild read in C.
#include "drivers/synth/trace.h"

#include <stdbool.h>

#include "core/lib/string.h"
#include "core/mem/page.h"
#include "core/net/net.h"

static void *allocate(uint64_t bytes)
{
	unsigned order = 0;

	while (order <= PAGE_ORDER_MAX && (PAGE_BYTES << order) < bytes) {
		order++;
	}
	return order <= PAGE_ORDER_MAX ? page_alloc(order) : 0;
}

// Reads one record; false when it does not lie inside the blob or holds a
// value out of its range.
static bool read_packet(const struct synth_trace *trace, uint64_t *at, uint64_t end, struct synth_packet *packet)
{
	struct abi_trace_packet record;

	if (end - *at < sizeof record) {
		return false;
	}
	__builtin_memcpy(&record, trace->blob + *at, sizeof record);
	*at += sizeof record;
	if (record.bytes == 0 || record.bytes > ABI_PACKET_BYTES_MAX || record.bytes > end - *at ||
	    record.family >= ABI_TRACE_FAMILY_MAX || record.flow >= trace->flow_count) {
		return false;
	}
	packet->offset = (uint32_t)*at;
	packet->bytes = record.bytes;
	packet->label = record.label;
	packet->family = record.family;
	packet->flow = record.flow;
	*at += (record.bytes + 7u) & ~7u;
	return *at <= end;
}

static void digest_payload(const struct synth_trace *trace, struct synth_packet *packet)
{
	const uint8_t *frame = trace->blob + packet->offset;
	struct net_parsed parsed;

	packet->digest = 0;
	packet->payload_bytes = 0;
	if (net_parse(frame, packet->bytes, &parsed) == ABI_OUTCOME_UNKNOWN) {
		packet->payload_bytes = (uint16_t)parsed.payload_bytes;
		packet->digest = net_digest(frame + parsed.payload_offset, parsed.payload_bytes);
	}
}

static bool read_packets(struct synth_trace *trace, uint64_t end)
{
	uint64_t at = sizeof(struct abi_trace_header);

	memset(trace->flows, 0, trace->flow_count * sizeof *trace->flows);
	for (uint32_t i = 0; i < trace->packet_count; i++) {
		struct synth_packet *packet = &trace->packets[i];

		if (!read_packet(trace, &at, end, packet)) {
			return false;
		}
		digest_payload(trace, packet);
		if (trace->flows[packet->flow].count++ == 0) {
			trace->flows[packet->flow].family = packet->family;
		}
	}
	return true;
}

// Counting sort of packet numbers by flow; keeps their order.
static void group_by_flow(struct synth_trace *trace)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < trace->flow_count; i++) {
		trace->flows[i].first = first;
		first += trace->flows[i].count;
	}
	for (uint32_t i = 0; i < trace->packet_count; i++) {
		struct synth_flow *flow = &trace->flows[trace->packets[i].flow];

		trace->by_flow[flow->first + flow->next++] = i;
	}
	synth_trace_rewind(trace);
}

// Flow numbers grouped by owner CPU and family; empty flows are in no list.
static void group_by_family(struct synth_trace *trace)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < trace->flow_count; i++) {
		struct synth_flow *flow = &trace->flows[i];

		trace->lists[i % trace->cpus][flow->family].count += flow->count != 0;
	}
	for (uint32_t cpu = 0; cpu < trace->cpus; cpu++) {
		for (uint32_t family = 0; family < ABI_TRACE_FAMILY_MAX; family++) {
			struct synth_list *list = &trace->lists[cpu][family];

			list->first = first;
			first += list->count;
			list->count = 0;
		}
	}
	for (uint32_t i = 0; i < trace->flow_count; i++) {
		struct synth_flow *flow = &trace->flows[i];
		struct synth_list *list = &trace->lists[i % trace->cpus][flow->family];

		if (flow->count != 0) {
			trace->by_family[list->first + list->count++] = i;
		}
	}
}

int32_t synth_trace_build(struct synth_trace *out, const uint8_t *blob, uint64_t blob_bytes, uint32_t cpus)
{
	static struct synth_trace trace; // too large for a kernel stack
	struct abi_trace_header header;

	if (blob_bytes < sizeof header || blob_bytes > ABI_JOB_BYTES_MAX) {
		return ABI_ERR_TRUNCATED;
	}
	__builtin_memcpy(&header, blob, sizeof header);
	if (header.magic != ABI_TRACE_MAGIC) {
		return ABI_ERR_MAGIC;
	}
	if (header.packet_count == 0 || header.packet_count > ABI_TRACE_PACKETS_MAX || header.flow_count == 0 ||
	    header.flow_count > header.packet_count || cpus == 0 || cpus > ABI_CPU_MAX) {
		return ABI_ERR_BAD_VALUE;
	}
	memset(&trace, 0, sizeof trace);
	trace.blob = blob;
	trace.cpus = cpus;
	trace.packet_count = header.packet_count;
	trace.flow_count = header.flow_count;
	trace.packets = allocate((uint64_t)header.packet_count * sizeof *trace.packets);
	trace.flows = allocate((uint64_t)header.flow_count * sizeof *trace.flows);
	trace.by_flow = allocate((uint64_t)header.packet_count * sizeof *trace.by_flow);
	trace.by_family = allocate((uint64_t)header.flow_count * sizeof *trace.by_family);
	if (!trace.packets || !trace.flows || !trace.by_flow || !trace.by_family) {
		return ABI_ERR_NO_SPACE; // the guest is of no use; pages stay taken
	}
	if (!read_packets(&trace, blob_bytes)) {
		return ABI_ERR_TRUNCATED;
	}
	group_by_flow(&trace);
	group_by_family(&trace);
	*out = trace;
	return ABI_OK;
}

void synth_trace_rewind(struct synth_trace *trace)
{
	for (uint32_t i = 0; i < trace->flow_count; i++) {
		trace->flows[i].next = 0;
	}
}
