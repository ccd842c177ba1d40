// The index over a job's trace. Private to drivers/synth.
#ifndef DRIVERS_SYNTH_TRACE_H
#define DRIVERS_SYNTH_TRACE_H

#include <stdint.h>

#include "abi/gen/abi.h"

struct synth_packet {
	uint64_t digest; // of the payload a consumer must get
	uint32_t offset; // of the frame in the blob
	uint32_t flow;
	uint16_t payload_bytes;
	uint16_t bytes;
	uint8_t label;
	uint8_t family;
};

struct synth_flow {
	uint32_t first; // in by_flow
	uint32_t count;
	uint32_t next; // which packet comes next; owned by the flow's CPU
	uint32_t family;
};

struct synth_list {
	uint32_t first; // in by_family
	uint32_t count;
};

struct synth_trace {
	const uint8_t *blob; // TraceHeader
	uint32_t cpus;
	uint32_t packet_count, flow_count;
	struct synth_packet *packets; // NULL = no trace
	struct synth_flow *flows;
	uint32_t *by_flow;   // packet numbers, grouped by flow, in trace order
	uint32_t *by_family; // flow numbers, grouped by CPU and family
	struct synth_list lists[ABI_CPU_MAX][ABI_TRACE_FAMILY_MAX];
};

int32_t synth_trace_build(struct synth_trace *trace, const uint8_t *blob, uint64_t blob_bytes, uint32_t cpus);
void synth_trace_rewind(struct synth_trace *trace);

#endif
