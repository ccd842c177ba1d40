// Stand-ins for the rest of the kernel, and packets to send through the path.
#ifndef PATHTEST_HOST_H
#define PATHTEST_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/net/internal.h"
#include "core/net/net.h"
#include "drivers/synth/prng.h"
#include "drivers/synth/synth.h"

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("%s:%d: not so: %s (seed %llu)\n", __FILE__, __LINE__, #condition,                      \
			       (unsigned long long)host_seed);                                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

extern uint64_t host_seed;

// What svc_net_rx answers; NULL = pass. `panics` makes guard_call contain it.
extern uint64_t (*host_program)(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *context,
				const uint8_t *packet, uint32_t bytes);
extern bool host_program_panics;

// Compiled code: what code_load gives out, whatever the bytes; `faults` makes
// each call of it end as a contained fault does.
extern uint64_t (*host_code)(const struct abi_net_rx_context *context, const uint8_t *packet,
			     uint64_t bytes);
extern bool host_code_faults;
extern unsigned host_faults_contained;

void host_start(unsigned cpus); // hook and net, as the kernel does at boot

struct packet_spec {
	uint8_t protocol;
	uint32_t source, destination; // host order
	uint16_t source_port, destination_port;
	uint32_t sequence, acknowledged;
	uint8_t tcp_flags;
	uint8_t icmp_type;
	const uint8_t *payload;
	uint32_t payload_bytes;
};

// Builds a frame with right checksums; returns its length.
uint32_t host_build(uint8_t *frame, const struct packet_spec *spec);
// Ones-complement sum as RFC 1071 spells it, two bytes at a time.
uint16_t host_checksum(const uint8_t *bytes, uint32_t count, uint32_t start);
void *host_exact(const void *bytes, size_t count); // so that overreads are seen

#endif
