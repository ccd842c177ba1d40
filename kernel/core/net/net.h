// The default packet path: what the kernel does with a packet when no program
// says otherwise, and the only judge of whether somebody wanted it.
//
// Each CPU has a net.rx thread. Sources attach a poll function to it; the
// thread calls them until none has work and then sleeps on an event that
// net_rx_wake signals (from interrupts too).
#ifndef CORE_NET_NET_H
#define CORE_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

enum {
	NET_IFINDEX_SYNTH = 1,
	NET_IFINDEX_VIRTIO = 2,
	NET_CONSUMERS_MAX = 64, // as abi.JobListensMax
	NET_CONSUMER_PACKETS = 7,	  // bounded queue of each consumer, per CPU
	NET_STEER_PACKETS = 32, // bounded queue of each CPU
	NET_SOURCES_MAX = 4,	     // poll functions per CPU
};

// What the synthetic source knows about a packet. It travels beside the packet
// to the accounting at the end of the path and is read by nobody else: hook,
// ring and services never see it.
struct source_tag {
	uint64_t expected_digest; // of the bytes a consumer must get
	uint32_t expected_bytes;
	uint32_t trace_index;
	uint8_t needed;
};

// How a packet ended.
struct net_result {
	uint64_t digest; // of the bytes the consumer took
	uint32_t delivered_bytes;
	uint8_t action;
	uint8_t outcome; // ABI_OUTCOME_*
	uint8_t flags;   // ABI_EVENT_*
};

typedef void (*net_account_function)(const struct source_tag *tag, const struct net_result *result);
typedef void (*net_transmit_function)(const uint8_t *frame, uint32_t bytes);
// Does a bounded piece of work; returns whether there is more to do now.
typedef bool (*net_poll_function)(uint32_t cpu, void *argument);

void net_init(void);	     // before drivers attach their sources
void net_start(void);	      // memory for the CPUs that are online; packets may come
void net_start_threads(void); // one net.rx thread per CPU that is online

// One packet, on the net.rx thread of its CPU. tag is NULL for live traffic.
void net_receive(unsigned ifindex, const uint8_t *frame, uint32_t bytes, const struct source_tag *tag);

// Where replies leave, by the interface the packet came in on.
void net_set_transmit(unsigned ifindex, net_transmit_function transmit);
void net_set_account(net_account_function account);

int net_attach_source(uint32_t cpu, net_poll_function poll, void *argument);
void net_rx_wake(uint32_t cpu); // safe in interrupt handlers
// From a poll function that returns false: call again at this time.
void net_rx_wake_at(uint32_t cpu, uint64_t due_ns);

// Consumers by (protocol, port) and the phases in which they listen.
int net_listen(const struct abi_listen *listens, uint32_t count);
void net_set_phase(uint32_t phase);

// Packets go straight to the default path: no slot is read, no event written.
void net_set_bypass(bool bypass);

// Instructions from hand-over to the end of the path, event included,
// accounting of the source excluded; of one CPU, or all with UINT32_MAX.
uint64_t net_path_insn(uint32_t cpu);
uint64_t net_packets_done(uint32_t cpu);
void net_reset_counters(void);

// Where the payload lies that a consumer would get; also used by the source
// to know beforehand which bytes must arrive.
struct net_parsed {
	uint32_t source_address;	 // as four network-order bytes
	uint32_t payload_offset;	 // from the Ethernet header
	uint32_t payload_bytes;
	uint32_t ip_offset, ip_header_bytes, ip_bytes, l4_offset, l4_bytes;
	uint16_t source_port, destination_port; // host order
	uint8_t protocol;
	uint8_t icmp_type;
	bool fragment;
};
// ABI_OUTCOME_MALFORMED, ABI_OUTCOME_NO_CONSUMER (not for any consumer of
// ours, e.g. not IPv4) or ABI_OUTCOME_UNKNOWN (fields of parsed are valid).
uint8_t net_parse(const uint8_t *frame, uint32_t bytes, struct net_parsed *parsed);
uint64_t net_digest(const uint8_t *bytes, uint32_t count);

#endif
