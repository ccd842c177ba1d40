// What a host answers when nobody listens, and to a ping.
//
//	TCP   RST                       RFC 9293 section 3.5.2
//	UDP   ICMP port unreachable     RFC 1122 sections 3.2.2.1, 4.1.3.1
//	else  ICMP protocol unreachable RFC 1122 section 3.2.2.1
//	ping  ICMP echo reply           RFC 792, RFC 1122 section 3.2.2.6
//
// No ICMP error is sent about an ICMP error, a fragment, or a packet to or
// from a group or broadcast address (RFC 1122 section 3.2.2).
#include "core/lib/string.h"
#include "core/net/internal.h"

enum {
	REPLY_TTL = 64,
	TCP_BYTES = 20,
	ICMP_HEADER_BYTES = 8,
	ICMP_UNREACHABLE = 3,
	ICMP_UNREACHABLE_PROTOCOL = 2,
	ICMP_UNREACHABLE_PORT = 3,
	// "As much of the original datagram as possible" up to 576 bytes of
	// reply (RFC 1812 section 4.3.2.3): 576 - IPv4 20 - ICMP 8.
	ICMP_QUOTE_BYTES_MAX = 548,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

static uint32_t load32(const uint8_t *at)
{
	uint32_t word;

	__builtin_memcpy(&word, at, sizeof word);
	return __builtin_bswap32(word);
}

static void store32(uint8_t *at, uint32_t value)
{
	value = __builtin_bswap32(value);
	__builtin_memcpy(at, &value, sizeof value);
}

// Ethernet and IPv4 headers with both pairs of addresses turned round.
static void put_headers(const uint8_t *frame, const struct net_parsed *parsed, uint8_t protocol, uint32_t ip_bytes,
			uint8_t *out)
{
	const uint8_t *from = frame + parsed->ip_offset;
	uint8_t *ip = out + NET_ETHERNET_BYTES;
	uint16_t checksum;

	__builtin_memcpy(out, frame + 6, 6);
	__builtin_memcpy(out + 6, frame, 6);
	net_store16(out + 12, NET_ETHERTYPE_IPV4);
	__builtin_memset(ip, 0, NET_IP_BYTES_MIN);
	ip[0] = 0x45;
	net_store16(ip + 2, ip_bytes);
	ip[6] = 0x40; // do not fragment
	ip[8] = REPLY_TTL;
	ip[9] = protocol;
	__builtin_memcpy(ip + 12, from + 16, 4);
	__builtin_memcpy(ip + 16, from + 12, 4);
	checksum = (uint16_t)~net_fold(net_sum(ip, NET_IP_BYTES_MIN, 0));
	__builtin_memcpy(ip + 10, &checksum, sizeof checksum);
}

static uint32_t reply_reset(const uint8_t *frame, const struct net_parsed *parsed, uint8_t *out)
{
	const uint8_t *tcp = frame + parsed->l4_offset;
	uint8_t *reset = out + NET_ETHERNET_BYTES + NET_IP_BYTES_MIN;
	uint8_t flags = tcp[13];
	uint16_t checksum;

	if (flags & TCP_RST) {
		return 0;
	}
	put_headers(frame, parsed, NET_PROTOCOL_TCP, NET_IP_BYTES_MIN + TCP_BYTES, out);
	__builtin_memset(reset, 0, TCP_BYTES);
	__builtin_memcpy(reset, tcp + 2, 2);
	__builtin_memcpy(reset + 2, tcp, 2);
	reset[12] = (TCP_BYTES / 4) << 4;
	if (flags & TCP_ACK) {
		__builtin_memcpy(reset + 4, tcp + 8, 4); // SEQ = SEG.ACK
		reset[13] = TCP_RST;
	} else {
		// SEQ = 0, ACK = SEG.SEQ + SEG.LEN; SYN and FIN count as one each.
		uint32_t length = parsed->payload_bytes + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);

		store32(reset + 8, load32(tcp + 4) + length);
		reset[13] = TCP_RST | TCP_ACK;
	}
	checksum = (uint16_t)~net_fold(
		net_sum(reset, TCP_BYTES, net_pseudo_sum(out + NET_ETHERNET_BYTES + 12, NET_PROTOCOL_TCP, TCP_BYTES)));
	__builtin_memcpy(reset + 16, &checksum, sizeof checksum);
	return NET_ETHERNET_BYTES + NET_IP_BYTES_MIN + TCP_BYTES;
}

// Group (224/4), reserved (240/4, limited broadcast among it) or zero.
static bool not_one_host(const uint8_t *address)
{
	return address[0] >= 224 || address[0] == 0;
}

static uint32_t reply_unreachable(const uint8_t *frame, const struct net_parsed *parsed, uint8_t code, uint8_t *out)
{
	const uint8_t *ip = frame + parsed->ip_offset;
	uint8_t *icmp = out + NET_ETHERNET_BYTES + NET_IP_BYTES_MIN;
	uint32_t quote = parsed->ip_bytes < ICMP_QUOTE_BYTES_MAX ? parsed->ip_bytes : ICMP_QUOTE_BYTES_MAX;
	uint32_t icmp_bytes = ICMP_HEADER_BYTES + quote;
	uint16_t checksum;

	if ((frame[0] & 1) || not_one_host(ip + 12) || not_one_host(ip + 16)) {
		return 0;
	}
	put_headers(frame, parsed, NET_PROTOCOL_ICMP, NET_IP_BYTES_MIN + icmp_bytes, out);
	__builtin_memset(icmp, 0, ICMP_HEADER_BYTES);
	icmp[0] = ICMP_UNREACHABLE;
	icmp[1] = code;
	memcpy(icmp + ICMP_HEADER_BYTES, ip, quote);
	checksum = (uint16_t)~net_fold(net_sum(icmp, icmp_bytes, 0));
	__builtin_memcpy(icmp + 2, &checksum, sizeof checksum);
	return NET_ETHERNET_BYTES + NET_IP_BYTES_MIN + icmp_bytes;
}

uint32_t net_reply_refusal(const uint8_t *frame, const struct net_parsed *parsed, uint8_t *out)
{
	switch (parsed->protocol) {
	case NET_PROTOCOL_TCP:
		return reply_reset(frame, parsed, out);
	case NET_PROTOCOL_UDP:
		return reply_unreachable(frame, parsed, ICMP_UNREACHABLE_PORT, out);
	case NET_PROTOCOL_ICMP:
		return 0;
	default:
		return reply_unreachable(frame, parsed, ICMP_UNREACHABLE_PROTOCOL, out);
	}
}

// The reply repeats identifier, sequence number and data.
uint32_t net_reply_echo(const uint8_t *frame, const struct net_parsed *parsed, uint8_t *out)
{
	uint8_t *icmp = out + NET_ETHERNET_BYTES + NET_IP_BYTES_MIN;
	uint32_t frame_bytes = NET_ETHERNET_BYTES + NET_IP_BYTES_MIN + parsed->l4_bytes;
	uint16_t checksum;

	if (not_one_host(frame + parsed->ip_offset + 12) || not_one_host(frame + parsed->ip_offset + 16) ||
	    frame_bytes > ABI_PACKET_BYTES_MAX) {
		return 0;
	}
	put_headers(frame, parsed, NET_PROTOCOL_ICMP, NET_IP_BYTES_MIN + parsed->l4_bytes, out);
	memcpy(icmp, frame + parsed->l4_offset, parsed->l4_bytes);
	icmp[0] = NET_ICMP_ECHO_REPLY;
	icmp[2] = 0;
	icmp[3] = 0;
	checksum = (uint16_t)~net_fold(net_sum(icmp, parsed->l4_bytes, 0));
	__builtin_memcpy(icmp + 2, &checksum, sizeof checksum);
	return frame_bytes;
}
