// What the seed filters share: the context of XDP and the headers they parse.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum { XDP_DROP = 1, XDP_PASS = 2 };

#define SEC(name) __attribute__((section(name), used))
#define swap16(x) __builtin_bswap16(x)

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 type;
} __attribute__((packed));

struct ipv4 {
	u8 version_and_words;
	u8 service;
	u16 bytes;
	u16 identification;
	u16 fragment;
	u8 hops;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
} __attribute__((packed));

struct ports {
	u16 source;
	u16 destination;
} __attribute__((packed));
