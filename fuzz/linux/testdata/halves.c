// 32-bit forms: bounds learnt of a lower half and used as a whole number.
#include "testdata/net.h"

SEC("xdp") int halves(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 60 > end)
		return XDP_PASS;
	u32 index = *(u32 *)(data + 14) - 5;
	if (index >= 40)
		return XDP_PASS;
	int number = *(int *)(data + 18);
	if (number < 0 || number >= 20)
		return XDP_PASS;
	u16 half = *(u16 *)(data + 22);
	if (half - 100u > 50u)
		return XDP_DROP;
	u32 distance = half - 100;
	keep(index);
	keep(number);
	keep(distance);
	u8 *first = data + (index & 63) + (number & 31), *second = data + (distance & 63);
	keep(first);
	keep(second);
	if (first + 1 > end || second + 1 > end)
		return XDP_DROP;
	return *first == *second ? XDP_TX : XDP_PASS;
}
