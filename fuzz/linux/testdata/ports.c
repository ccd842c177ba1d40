// A long list of ports as a switch.
#include "testdata/net.h"

SEC("xdp") int ports(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 42 > end || data[12] != 8 || data[13] != 0 || data[14] != 0x45)
		return XDP_PASS;
	if (data[23] != 6 && data[23] != 17)
		return XDP_PASS;
	switch (swap16(*(u16 *)(data + 36))) {
	case 20: case 21: case 22: case 25: case 53: case 80: case 110: case 123: case 143:
	case 443: case 465: case 587: case 853: case 993: case 995: case 3306: case 5432: case 8080:
		return XDP_PASS;
	case 137: case 138: case 139: case 445:
		return XDP_TX;
	default:
		return XDP_DROP;
	}
}
