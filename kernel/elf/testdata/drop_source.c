// Drops packets of one source network and short datagrams.
#include "testdata/net.h"

SEC("xdp") int drop_source(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	struct ethernet *ethernet = (void *)data;
	struct ipv4 *ip = (void *)(data + 14);
	if (ethernet->type != swap16(0x0800))
		return XDP_PASS;
	if ((ip->source & 0x00ffffff) == 0x0002000a)
		return XDP_DROP;
	if (ip->protocol == 17 && swap16(ip->bytes) < 28)
		return XDP_DROP;
	return XDP_PASS;
}
