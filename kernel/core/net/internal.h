// Shared by the files of core/net only.
#ifndef CORE_NET_INTERNAL_H
#define CORE_NET_INTERNAL_H

#include <stdint.h>

#include "core/net/net.h"

enum {
	NET_ETHERNET_BYTES = 14,
	NET_IP_BYTES_MIN = 20,
	NET_ETHERTYPE_IPV4 = 0x0800,
	NET_ETHERTYPE_ARP = 0x0806,
	NET_PROTOCOL_ICMP = 1,
	NET_PROTOCOL_TCP = 6,
	NET_PROTOCOL_UDP = 17,
	NET_ICMP_ECHO_REPLY = 0,
	NET_ICMP_ECHO_REQUEST = 8,
};

static inline uint16_t net_load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void net_store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

uint64_t net_sum(const uint8_t *bytes, uint32_t count, uint64_t sum);
uint16_t net_fold(uint64_t sum);
uint64_t net_pseudo_sum(const uint8_t *addresses, uint8_t protocol, uint32_t l4_bytes);

// Ends one packet that was steered to this CPU; false when there is none.
bool net_take_steered(uint32_t cpu);

// Replies (reply.c). Each builds a whole frame in `out` (ABI_PACKET_BYTES_MAX
// bytes) and returns its length, 0 when the standard forbids an answer.
uint32_t net_reply_refusal(const uint8_t *frame, const struct net_parsed *parsed, uint8_t *out);
uint32_t net_reply_echo(const uint8_t *frame, const struct net_parsed *parsed, uint8_t *out);

#endif
