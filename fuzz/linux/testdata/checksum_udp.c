// The sum of a UDP header and the pseudo header, in 64 bits.
#include "testdata/net.h"

SEC("xdp") int checksum_udp(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 42 > end || data[23] != 17)
		return XDP_PASS;
	unsigned long long sum = swap16(17);
	sum += *(u32 *)(data + 26);
	sum += *(u32 *)(data + 30);
	sum += *(u16 *)(data + 38);
#pragma clang loop unroll(full)
	for (int i = 0; i < 4; i++)
		sum += *(u16 *)(data + 34 + 2 * i);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*(u16 *)(data + 40) = ~sum;
	return XDP_PASS;
}
