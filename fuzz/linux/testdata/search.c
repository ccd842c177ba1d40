// A decision tree over addresses: many comparisons of one number.
#include "testdata/net.h"

SEC("xdp") int search(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	u32 source = __builtin_bswap32(*(u32 *)(data + 26));
	u32 kind = 0;
	if (source >= 0xe0000000)
		kind = source < 0xf0000000 ? 1 : 2;
	else if (source - 0x0a000000u < 0x01000000u || source - 0xac100000u < 0x00100000u || source >> 16 == 0xc0a8)
		kind = 3;
	else if (source >> 24 == 127 || source == 0)
		kind = 4;
	u32 place = kind * 4;
	if (data + 34 + 20 > end)
		return kind ? XDP_DROP : XDP_PASS;
	return *(u32 *)(data + 34 + place) == source ? XDP_DROP : XDP_PASS;
}
