// Flag combinations that no TCP sends.
#include "testdata/net.h"

SEC("xdp") int tcp_flags(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 14 + 20 > end || *(u16 *)(data + 12) != swap16(0x0800) || data[23] != 6)
		return XDP_PASS;
	u8 *tcp = data + 14 + (data[14] & 15) * 4;
	if (tcp + 20 > end)
		return XDP_DROP;
	u8 flags = tcp[13];
	if (flags == 0 || (flags & 3) == 3 || (flags & 6) == 6 || (flags & 0x29) == 0x29)
		return XDP_DROP;
	return (tcp[12] >> 4) < 5 ? XDP_DROP : XDP_PASS;
}
