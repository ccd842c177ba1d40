// Sends a frame back: Ethernet, IPv4 and port pairs change places.
#include "testdata/net.h"

SEC("xdp") int swap_addresses(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 42 > end || data[23] != 17)
		return XDP_PASS;
#pragma clang loop unroll(full)
	for (int i = 0; i < 3; i++) {
		u16 word = ((u16 *)data)[i];
		((u16 *)data)[i] = ((u16 *)data)[i + 3];
		((u16 *)data)[i + 3] = word;
	}
	u32 address = *(u32 *)(data + 26);
	*(u32 *)(data + 26) = *(u32 *)(data + 30);
	*(u32 *)(data + 30) = address;
	u32 both = *(u32 *)(data + 34);
	*(u32 *)(data + 34) = both << 16 | both >> 16;
	return XDP_TX;
}
