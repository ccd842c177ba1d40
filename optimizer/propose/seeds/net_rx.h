// What a filter for the net.rx hook may know, written for clang -target bpf.
// The context begins like struct xdp_md and the actions are XDP's numbers, so
// the same object file loads as an XDP program on Linux.
#ifndef SEEDS_NET_RX_H
#define SEEDS_NET_RX_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

struct net_rx_context {
	u32 data;     // loads as a pointer to the Ethernet header
	u32 data_end; // loads as a pointer behind the last byte
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum { NET_RX_DROP = 1, NET_RX_PASS = 2 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

#define SECTION(name) __attribute__((section(name), used))

// An Ethernet frame with an IPv4 header without options and the first bytes of
// TCP or UDP. 14 bytes of Ethernet leave everything behind them aligned to two.
struct frame {
	u8 ethernet_addresses[12];
	u16 ether_type; // network order, as all below
	u8 version_and_words;
	u8 service;
	u16 total_bytes;
	u16 identification;
	u16 fragment;
	u8 time_to_live;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
	u16 source_port;
	u16 destination_port;
} __attribute__((packed, aligned(2)));

#define NETWORK_ORDER(x) ((u16)((u16)(x) >> 8 | (u16)(x) << 8))

// The frame, or 0 when it is not plain IPv4 with ports inside the packet: such
// packets are none of a filter's business.
static inline __attribute__((always_inline)) const struct frame *
plain_ipv4(const struct net_rx_context *context)
{
	const struct frame *frame = (const struct frame *)(unsigned long)context->data;
	const void *end = (const void *)(unsigned long)context->data_end;

	if ((const void *)(frame + 1) > end)
		return 0;
	if (frame->ether_type != NETWORK_ORDER(0x0800) || frame->version_and_words != 0x45)
		return 0;
	if (frame->fragment & NETWORK_ORDER(0x3fff))
		return 0;
	return frame;
}

#endif
