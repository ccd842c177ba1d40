// Bit tricks: population count, leading bit, rotation, masks from shifts.
#include "testdata/net.h"

SEC("xdp") int bits(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	u32 word = *(u32 *)(data + 26);
	u32 count = word - ((word >> 1) & 0x55555555);
	count = (count & 0x33333333) + ((count >> 2) & 0x33333333);
	count = ((count + (count >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
	u32 rotated = word << (count & 31) | word >> (-count & 31);
	unsigned long long wide = (unsigned long long)rotated * 0x9e3779b97f4a7c15ull;
	u32 index = wide >> 59; // 0 to 31
	u8 *at = data + 34 + index;
	if (at + 1 > end)
		return count & 1 ? XDP_DROP : XDP_PASS;
	return *at & 1 << (count & 7) ? XDP_DROP : XDP_PASS;
}
