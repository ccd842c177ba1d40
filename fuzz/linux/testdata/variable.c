// Offsets from the packet, masked or bounded, of two variables.
#include "testdata/net.h"

SEC("xdp") int variable(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 2 > end)
		return XDP_PASS;
	u32 first = data[0], second = data[1];
	if (first > 100)
		return XDP_DROP;
	u8 *at = data + first + (second & 0x3f) * 2;
	if (at + 8 > end)
		return XDP_PASS;
	unsigned long long word = *(unsigned long long *)at;
	u32 third = at[7] % 24;
	keep(third);
	u8 *other = data + (third & 31);
	keep(other);
	if (other + 1 > end)
		return XDP_PASS;
	return *other == (u8)word ? XDP_DROP : XDP_PASS;
}
