// Looks for three bytes in a window that slides over the payload.
#include "testdata/net.h"

SEC("xdp") int window(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	u8 *at = data + 42;
#pragma clang loop unroll(full)
	for (int i = 0; i < 12; i++, at++) {
		if (at + 3 > end)
			return XDP_PASS;
		if (at[0] == 'G' && at[1] == 'E' && at[2] == 'T')
			return XDP_DROP;
	}
	return XDP_TX;
}
