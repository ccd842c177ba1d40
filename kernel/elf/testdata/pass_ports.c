// Passes TCP and UDP to a few ports with a variable IPv4 header, drops other
// TCP and UDP, passes everything else.
#include "testdata/net.h"

SEC("xdp") int pass_ports(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	struct ethernet *ethernet = (void *)data;
	if (data + sizeof(*ethernet) + sizeof(struct ipv4) > end || ethernet->type != swap16(0x0800))
		return XDP_PASS;
	struct ipv4 *ip = (void *)(data + sizeof(*ethernet));
	if (ip->protocol != 6 && ip->protocol != 17)
		return XDP_PASS;
	struct ports *ports = (void *)((u8 *)ip + (ip->version_and_words & 15) * 4);
	if ((u8 *)(ports + 1) > end)
		return XDP_PASS;
	switch (swap16(ports->destination)) {
	case 53:
	case 80:
	case 443:
		return XDP_PASS;
	}
	return XDP_DROP;
}
