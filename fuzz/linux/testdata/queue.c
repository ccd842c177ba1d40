// Context fields beside the packet's ends.
#include "testdata/net.h"

SEC("xdp") int queue(struct xdp_md *context)
{
	u32 queue = context->rx_queue_index, interface = context->ingress_ifindex;
	if (queue > 3 && interface != 1)
		return XDP_DROP;
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (queue > 8)
		return XDP_PASS;
	u8 *at = data + 14 + queue * 4;
	if (at + 4 > end)
		return XDP_PASS;
	return *at > interface ? XDP_TX : XDP_PASS;
}
