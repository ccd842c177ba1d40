// Walks IPv4 options, eight at most, and drops record-route and source routes.
#include "testdata/net.h"

SEC("xdp") int options(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	u32 header = (data[14] & 15) * 4;
	if (header <= 20 || data + 14 + header > end)
		return XDP_PASS;
	u32 at = 34;
#pragma clang loop unroll(full)
	for (int count = 0; count < 8; count++) {
		if (at >= 14 + header)
			break;
		u8 *option = data + at;
		if (option + 2 > end)
			break;
		if (option[0] == 0)
			break;
		if (option[0] == 1) {
			at++;
			continue;
		}
		if (option[0] == 7 || option[0] == 131 || option[0] == 137)
			return XDP_DROP;
		u8 bytes = option[1];
		if (bytes < 2 || bytes > 40)
			return XDP_DROP;
		at += bytes;
	}
	return XDP_PASS;
}
