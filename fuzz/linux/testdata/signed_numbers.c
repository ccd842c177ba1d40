// Signed arithmetic: differences, divisions, shifts, comparisons, narrow types.
#include "testdata/net.h"

SEC("xdp") int signed_numbers(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	signed char narrow = *(signed char *)(data + 20);
	short middle = *(short *)(data + 22);
	int wide = *(int *)(data + 24);
	long difference = (long)wide - middle;
	if (difference < -1000 || difference > 100000)
		return XDP_DROP;
	int scaled = (narrow * middle) >> 4;
	if (scaled < 0)
		scaled = -scaled;
	if (scaled > 15)
		return XDP_PASS;
	int index = 14 + scaled - (narrow < 0 ? 5 : 0);
	if (index < 0 || index > 33)
		return XDP_DROP;
	keep(index);
	u8 *at = data + (index & 63);
	keep(at);
	if (at + 1 > end)
		return XDP_PASS;
	return *at == 0x45 ? XDP_PASS : XDP_DROP;
}
