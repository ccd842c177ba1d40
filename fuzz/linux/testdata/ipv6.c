// IPv6 extension headers, three at most, then TCP to a low port.
#include "testdata/net.h"

SEC("xdp") int ipv6(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 54 > end || *(u16 *)(data + 12) != swap16(0x86dd))
		return XDP_PASS;
	u8 next = data[20];
	u8 *at = data + 54;
#pragma clang loop unroll(full)
	for (int headers = 0; headers < 3; headers++) {
		if (next != 0 && next != 43 && next != 60)
			break;
		if (at + 2 > end)
			return XDP_DROP;
		next = at[0];
		at += (at[1] + 1) * 8;
	}
	if (next != 6 || at + 20 > end)
		return XDP_PASS;
	return swap16(*(u16 *)(at + 2)) < 1024 ? XDP_PASS : XDP_DROP;
}
