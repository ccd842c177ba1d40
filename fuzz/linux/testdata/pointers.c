// Every way to compare with the end, and pointers kept across branches.
#include "testdata/net.h"

SEC("xdp") int pointers(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	u8 *network = data + 14;
	if (end < network)
		return XDP_DROP;
	u8 *transport = network + 20;
	if (transport >= end)
		return XDP_PASS;
	u8 *payload = transport + (network[9] == 6 ? 20 : 8);
	if (!(payload + 4 <= end))
		return transport[0];
	if (*(u32 *)payload == 0x20544547)
		return XDP_DROP;
	return XDP_PASS;
}
