// Lowers the time to live and mends the checksum (RFC 1624).
#include "testdata/net.h"

SEC("xdp") int rewrite(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end || *(u16 *)(data + 12) != swap16(0x0800))
		return XDP_PASS;
	if (data[22] <= 1)
		return XDP_DROP;
	u16 *word = (u16 *)(data + 22), *sum = (u16 *)(data + 24);
	u16 before = *word;
	data[22]--;
	u32 total = (u16)~*sum + (u16)~before + *word;
	total = (total & 0xffff) + (total >> 16);
	total = (total & 0xffff) + (total >> 16);
	*sum = ~total;
	return XDP_TX;
}
