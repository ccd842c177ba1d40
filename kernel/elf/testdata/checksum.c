// Sums the ten words of an IPv4 header, unrolled, and drops what does not fit.
#include "testdata/net.h"

SEC("xdp") int checksum(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end || data[12] != 8 || data[13] != 0 || data[14] != 0x45)
		return XDP_PASS;
	u32 sum = 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < 10; i++)
		sum += *(u16 *)(data + 14 + 2 * i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? XDP_PASS : XDP_DROP;
}
