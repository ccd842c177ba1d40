// A DNS query's name, sixteen bytes of it, and its type behind the name.
#include "testdata/net.h"

SEC("xdp") int dns(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 54 > end || data[23] != 17 || *(u16 *)(data + 36) != swap16(53))
		return XDP_PASS;
	u32 at = 54, labels = 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < 16; i++) {
		if (data + at + 1 > end)
			return XDP_DROP;
		u8 byte = data[at];
		at++;
		if (byte == 0)
			break;
		labels += byte < 32;
	}
	if (data + at + 4 > end)
		return XDP_PASS;
	return *(u16 *)(data + at) == swap16(255) || labels > 6 ? XDP_DROP : XDP_PASS;
}
