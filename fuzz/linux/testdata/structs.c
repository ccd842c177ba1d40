// A header copied to the stack as a structure, changed there and put back.
#include "testdata/net.h"

struct header {
	u8 version, service;
	u16 bytes, identifier, fragment;
	u8 life, protocol;
	u16 checksum;
	u32 source, destination;
};

SEC("xdp") int structs(struct xdp_md *context)
{
	u8 *data = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
	if (data + 34 > end)
		return XDP_PASS;
	volatile struct header header;
	for (u32 i = 0; i < 5; i++)
		((volatile u32 *)&header)[i] = *(u32 *)(data + 14 + 4 * i);
	if (header.fragment & swap16(0x3fff))
		return XDP_DROP;
	header.life = 64;
	header.identifier = 0;
	*(u16 *)(data + 18) = header.identifier;
	data[22] = header.life;
	return header.source == header.destination ? XDP_DROP : XDP_PASS;
}
