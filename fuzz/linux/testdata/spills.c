// More live values than registers: numbers and pointers go to the stack.
#include "testdata/net.h"

SEC("xdp") int spills(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 64 > end)
		return XDP_PASS;
	volatile u32 kept[8];
	u8 *volatile place = data + 34;
	u32 a = *(u32 *)data, b = *(u32 *)(data + 4), c = *(u32 *)(data + 8), d = *(u32 *)(data + 12);
	u32 e = *(u32 *)(data + 16), f = *(u32 *)(data + 20), g = *(u32 *)(data + 24), h = *(u32 *)(data + 28);
#pragma clang loop unroll(full)
	for (int i = 0; i < 8; i++) {
		a += b ^ c, b = b << 5 | b >> 27, c += d, d ^= e, e += f * 3, f ^= g >> 3, g += h, h ^= a;
		kept[i] = a ^ h;
	}
	volatile u16 narrow = kept[3] & 15;
	volatile u8 byte = kept[5] & 7;
	u8 *first = place + (narrow & 63), *second = place + byte;
	keep(first);
	keep(second);
	if (first + 1 > end || second + 1 > end)
		return XDP_PASS;
	return *first + *second + kept[7] & 1 ? XDP_DROP : XDP_PASS;
}
