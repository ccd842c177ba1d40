// Drops TCP segments that only open a connection to ports above 1023.
#include "testdata/net.h"

SEC("xdp") int drop_syn_scan(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 14 + 20 + 20 > end)
		return XDP_PASS;
	struct ethernet *ethernet = (void *)data;
	struct ipv4 *ip = (void *)(data + 14);
	if (ethernet->type != swap16(0x0800) || ip->version_and_words != 0x45 || ip->protocol != 6)
		return XDP_PASS;
	struct ports *ports = (void *)(data + 34);
	u8 flags = data[34 + 13];
	if ((flags & 0x12) == 0x02 && swap16(ports->destination) > 1023)
		return XDP_DROP;
	return XDP_PASS;
}
