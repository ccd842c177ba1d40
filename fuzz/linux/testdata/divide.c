// Division and modulo by constants and by numbers of the packet.
#include "testdata/net.h"

SEC("xdp") int divide(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 64 > end)
		return XDP_PASS;
	u32 bytes = swap16(*(u16 *)(data + 16));
	u32 rows = bytes / 48 & 15, column = bytes % 48;
	u32 divisor = data[20];
	u32 ratio = divisor ? bytes / divisor : 0;
	keep(column);
	u8 *first = data + (column & 63), *second = data + 14 + rows;
	keep(first);
	keep(second);
	if (first + 1 > end || second + 1 > end)
		return XDP_PASS;
	return *first == rows || *second == (u8)ratio ? XDP_DROP : XDP_PASS;
}
