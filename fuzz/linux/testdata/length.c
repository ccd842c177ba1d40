// Lengths in headers against each other and against the frame.
#include "testdata/net.h"

SEC("xdp") int length(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 42 > end || data[23] != 17)
		return XDP_PASS;
	u32 total = swap16(*(u16 *)(data + 16)), header = (data[14] & 15) << 2;
	if (header < 20 || total < header + 8)
		return XDP_DROP;
	u8 *datagram = data + 14 + header;
	if (datagram + 8 > end)
		return XDP_DROP;
	u32 bytes = swap16(*(u16 *)(datagram + 4));
	if (bytes < 8 || bytes > total - header)
		return XDP_DROP;
	u32 last = bytes - 1;
	if (last > 255)
		return XDP_PASS;
	if (datagram + last + 1 > end)
		return XDP_DROP;
	return datagram[last] ? XDP_PASS : XDP_TX;
}
