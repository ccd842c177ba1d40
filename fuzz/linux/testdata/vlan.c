// Two VLAN tags at most, then IPv4 or IPv6: the offset depends on the packet.
#include "testdata/net.h"

SEC("xdp") int vlan(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	u8 *at = data + 12;
	if (at + 2 > end)
		return XDP_PASS;
	u16 type = *(u16 *)at;
	at += 2;
#pragma clang loop unroll(full)
	for (int tags = 0; tags < 2; tags++) {
		if (type != swap16(0x8100) && type != swap16(0x88a8))
			break;
		if (at + 4 > end)
			return XDP_DROP;
		type = *(u16 *)(at + 2);
		at += 4;
	}
	if (type == swap16(0x0800) && at + 20 <= end)
		return at[9] == 17 ? XDP_DROP : XDP_PASS;
	if (type == swap16(0x86dd) && at + 40 <= end)
		return at[6] == 58 ? XDP_PASS : XDP_DROP;
	return XDP_PASS;
}
