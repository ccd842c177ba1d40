// IPv4 in GRE or in IPv4: the inner header's place depends on two lengths.
#include "testdata/net.h"

SEC("xdp") int tunnel(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	u8 *outer = data + 14;
	if (outer + 20 > end || (outer[0] & 0xf0) != 0x40)
		return XDP_PASS;
	u8 *inner = outer + ((outer[0] & 15) << 2);
	if (outer[9] == 47) {
		if (inner + 4 > end)
			return XDP_DROP;
		u16 flags = *(u16 *)inner;
		inner += 4;
		if (flags & swap16(0x8000))
			inner += 4;
		if (flags & swap16(0x2000))
			inner += 4;
	} else if (outer[9] != 4) {
		return XDP_PASS;
	}
	if (inner + 20 > end)
		return XDP_DROP;
	u8 *transport = inner + (inner[0] & 15) * 4;
	if (transport + 4 > end)
		return XDP_DROP;
	return *(u16 *)(transport + 2) == swap16(22) ? XDP_DROP : XDP_PASS;
}
