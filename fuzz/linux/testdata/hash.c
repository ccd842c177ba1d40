// A flow hash that keeps one flow in eight.
#include "testdata/net.h"

static inline u32 mix(u32 hash, u32 word)
{
	hash ^= word;
	hash *= 0x85ebca6b;
	return hash ^ hash >> 13;
}

SEC("xdp") int hash(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 38 > end)
		return XDP_PASS;
	u32 value = mix(mix(mix(0, *(u32 *)(data + 26)), *(u32 *)(data + 30)), *(u32 *)(data + 34));
	return value % 8 == 3 ? XDP_PASS : XDP_DROP;
}
