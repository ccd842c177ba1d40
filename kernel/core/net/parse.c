// Packet parsing: Ethernet II, IPv4 (RFC 791), TCP (RFC 9293), UDP (RFC 768),
// ICMP (RFC 792). Every length is checked against the one that encloses it
// before anything behind it is read, and every checksum is verified. Portable:
// the same code runs under sanitizers on the host.
#include "core/net/internal.h"
#include "core/net/net.h"

enum {
	IP_VERSION_4 = 4,
	IP_FRAGMENT_MASK = 0x3fff, // more-fragments bit and offset
	UDP_HEADER_BYTES = 8,
	TCP_HEADER_BYTES = 20,
	ICMP_HEADER_BYTES = 8,
};

static uint64_t load64(const uint8_t *at)
{
	uint64_t word;

	__builtin_memcpy(&word, at, sizeof word);
	return word;
}

// One's-complement sum of 16-bit words (RFC 1071), taken 64 bits at a time
// with end-around carry: the sum is the same modulo 2^16 - 1. The result is
// not folded.
uint64_t net_sum(const uint8_t *bytes, uint32_t count, uint64_t sum)
{
	uint64_t tail = 0;

	for (; count >= 8; count -= 8, bytes += 8) {
		uint64_t word = load64(bytes);

		sum += word;
		sum += sum < word;
	}
	for (uint32_t i = 0; i < count; i++) {
		tail |= (uint64_t)bytes[i] << (8 * i); // little-endian, as load64
	}
	sum += tail;
	return sum + (sum < tail);
}

// Folds to 16 bits, in the byte order of the packet.
uint16_t net_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// The pseudo header of TCP and UDP: addresses, protocol, length. Numbers are
// added as little-endian words, like everything net_sum adds.
uint64_t net_pseudo_sum(const uint8_t *addresses, uint8_t protocol, uint32_t l4_bytes)
{
	uint64_t sum = load64(addresses);
	uint64_t rest = (uint64_t)protocol << 8 | (uint64_t)__builtin_bswap16((uint16_t)l4_bytes) << 16;

	sum += rest;
	return sum + (sum < rest);
}

static uint8_t parse_tcp(const uint8_t *l4, const uint8_t *ip, struct net_parsed *p)
{
	uint32_t header_bytes;
	uint64_t sum;

	if (p->l4_bytes < TCP_HEADER_BYTES) {
		return ABI_OUTCOME_MALFORMED;
	}
	header_bytes = (uint32_t)(l4[12] >> 4) * 4;
	if (header_bytes < TCP_HEADER_BYTES || header_bytes > p->l4_bytes) {
		return ABI_OUTCOME_MALFORMED;
	}
	sum = net_pseudo_sum(ip + 12, NET_PROTOCOL_TCP, p->l4_bytes);
	if (net_fold(net_sum(l4, p->l4_bytes, sum)) != 0xffff) {
		return ABI_OUTCOME_MALFORMED;
	}
	p->source_port = net_load16(l4);
	p->destination_port = net_load16(l4 + 2);
	p->payload_offset = p->l4_offset + header_bytes;
	p->payload_bytes = p->l4_bytes - header_bytes;
	return ABI_OUTCOME_UNKNOWN;
}

static uint8_t parse_udp(const uint8_t *l4, const uint8_t *ip, struct net_parsed *p)
{
	uint32_t udp_bytes;
	uint64_t sum;

	if (p->l4_bytes < UDP_HEADER_BYTES) {
		return ABI_OUTCOME_MALFORMED;
	}
	udp_bytes = net_load16(l4 + 4);
	if (udp_bytes < UDP_HEADER_BYTES || udp_bytes > p->l4_bytes) {
		return ABI_OUTCOME_MALFORMED;
	}
	// A checksum of zero means that the sender made none (RFC 768).
	if ((l4[6] | l4[7]) != 0) {
		sum = net_pseudo_sum(ip + 12, NET_PROTOCOL_UDP, udp_bytes);
		if (net_fold(net_sum(l4, udp_bytes, sum)) != 0xffff) {
			return ABI_OUTCOME_MALFORMED;
		}
	}
	p->source_port = net_load16(l4);
	p->destination_port = net_load16(l4 + 2);
	p->payload_offset = p->l4_offset + UDP_HEADER_BYTES;
	p->payload_bytes = udp_bytes - UDP_HEADER_BYTES;
	return ABI_OUTCOME_UNKNOWN;
}

static uint8_t parse_icmp(const uint8_t *l4, struct net_parsed *p)
{
	if (p->l4_bytes < ICMP_HEADER_BYTES) {
		return ABI_OUTCOME_MALFORMED;
	}
	if (net_fold(net_sum(l4, p->l4_bytes, 0)) != 0xffff) {
		return ABI_OUTCOME_MALFORMED;
	}
	p->icmp_type = l4[0];
	p->payload_offset = p->l4_offset + ICMP_HEADER_BYTES;
	p->payload_bytes = p->l4_bytes - ICMP_HEADER_BYTES;
	return ABI_OUTCOME_UNKNOWN;
}

// The IPv4 header and the lengths it promises.
static uint8_t parse_ip(const uint8_t *ip, uint32_t bytes, struct net_parsed *p)
{
	uint32_t header_bytes, total_bytes;

	if (bytes < NET_IP_BYTES_MIN || ip[0] >> 4 != IP_VERSION_4) {
		return ABI_OUTCOME_MALFORMED;
	}
	header_bytes = (uint32_t)(ip[0] & 0xf) * 4;
	total_bytes = net_load16(ip + 2);
	if (header_bytes < NET_IP_BYTES_MIN || header_bytes > total_bytes || total_bytes > bytes) {
		return ABI_OUTCOME_MALFORMED;
	}
	if (net_fold(net_sum(ip, header_bytes, 0)) != 0xffff) {
		return ABI_OUTCOME_MALFORMED;
	}
	p->ip_offset = NET_ETHERNET_BYTES;
	p->ip_header_bytes = header_bytes;
	p->ip_bytes = total_bytes;
	p->l4_offset = NET_ETHERNET_BYTES + header_bytes;
	p->l4_bytes = total_bytes - header_bytes;
	p->protocol = ip[9];
	p->fragment = (net_load16(ip + 6) & IP_FRAGMENT_MASK) != 0;
	__builtin_memcpy(&p->source_address, ip + 12, sizeof p->source_address);
	return ABI_OUTCOME_UNKNOWN;
}

uint8_t net_parse(const uint8_t *frame, uint32_t bytes, struct net_parsed *p)
{
	const uint8_t *ip = frame + NET_ETHERNET_BYTES, *l4;
	uint8_t outcome;

	*p = (struct net_parsed){0};
	if (bytes < NET_ETHERNET_BYTES) {
		return ABI_OUTCOME_MALFORMED;
	}
	if (net_load16(frame + 12) != NET_ETHERTYPE_IPV4) {
		return ABI_OUTCOME_NO_CONSUMER;
	}
	outcome = parse_ip(ip, bytes - NET_ETHERNET_BYTES, p);
	if (outcome != ABI_OUTCOME_UNKNOWN) {
		return outcome;
	}
	if (p->fragment) {
		return ABI_OUTCOME_NO_CONSUMER; // nobody here reassembles
	}
	l4 = frame + p->l4_offset;
	switch (p->protocol) {
	case NET_PROTOCOL_TCP:
		return parse_tcp(l4, ip, p);
	case NET_PROTOCOL_UDP:
		return parse_udp(l4, ip, p);
	case NET_PROTOCOL_ICMP:
		return parse_icmp(l4, p);
	default:
		return ABI_OUTCOME_UNKNOWN; // a protocol nobody listens to
	}
}
