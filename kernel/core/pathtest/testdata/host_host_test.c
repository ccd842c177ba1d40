#include "host.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>

#include "core/code/code.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sched/sched.h"
#include "core/trap/guard.h"
#include "rt/services.h"

_Thread_local unsigned host_cpu;
unsigned host_cpus = 1;
uint64_t host_now_ns = 1000;
uint64_t host_seed = 1;
uint64_t (*host_program)(uint32_t, uint32_t, const struct abi_net_rx_context *, const uint8_t *, uint32_t);
bool host_program_panics;
code_function host_code;
bool host_code_faults;
unsigned host_faults_contained;

void log_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

_Noreturn void panic(const char *format, ...)
{
	printf("panic: %s\n", format);
	exit(2);
}

void *page_alloc(unsigned order)
{
	return aligned_alloc(PAGE_BYTES, PAGE_BYTES << order);
}

void event_init(struct event *event)
{
	memset(event, 0, sizeof *event);
}

void event_signal(struct event *event)
{
	(void)event;
}

void event_wait(struct event *event)
{
	(void)event;
}

bool event_wait_timeout(struct event *event, uint64_t nanoseconds)
{
	(void)event;
	(void)nanoseconds;
	return true;
}

struct thread *thread_create(const char *name, void (*entry)(void *), void *argument, unsigned priority, int cpu,
			     unsigned flags)
{
	(void)name, (void)entry, (void)argument, (void)priority, (void)cpu, (void)flags;
	return (struct thread *)1;
}

uint64_t svc_net_rx(uint64_t cpu, uint64_t index, uint64_t context, uint64_t packet, uint64_t bytes, uint64_t unused)
{
	(void)unused;
	if (host_program == 0) {
		return ABI_NET_RX_PASS;
	}
	return host_program((uint32_t)cpu, (uint32_t)index, (const struct abi_net_rx_context *)context,
			    (const uint8_t *)packet, (uint32_t)bytes);
}

int guard_call(guard_function function, const uint64_t a[6], uint64_t *result, unsigned service)
{
	(void)service;
	if (host_program_panics) {
		return 1;
	}
	*result = function(a[0], a[1], a[2], a[3], a[4], a[5]);
	return 0;
}

code_function code_load(uint32_t slot, const uint8_t *bytes, uint32_t count)
{
	(void)slot, (void)bytes;
	return count <= CODE_SLOT_BYTES ? host_code : 0;
}

void code_drop(uint32_t slot)
{
	(void)slot;
}

uint64_t code_call(const struct abi_net_rx_context *context, const uint8_t *packet, uint64_t bytes,
		   code_function function)
{
	return host_code_faults ? ABI_NET_RX_ABORTED : function(context, packet, bytes);
}

bool code_contain(void)
{
	host_faults_contained += host_code_faults;
	return host_code_faults;
}

void host_start(unsigned cpus)
{
	host_cpus = cpus;
	hook_init();
	net_init();
	net_start();
}

uint16_t host_checksum(const uint8_t *bytes, uint32_t count, uint32_t start)
{
	uint32_t sum = start;

	for (uint32_t i = 0; i < count; i++) {
		sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void put32(uint8_t *at, uint32_t value)
{
	net_store16(at, value >> 16);
	net_store16(at + 2, value);
}

static uint32_t build_l4(uint8_t *l4, const struct packet_spec *spec)
{
	memset(l4, 0, 20);
	switch (spec->protocol) {
	case NET_PROTOCOL_TCP:
		net_store16(l4, spec->source_port);
		net_store16(l4 + 2, spec->destination_port);
		put32(l4 + 4, spec->sequence);
		put32(l4 + 8, spec->acknowledged);
		l4[12] = 0x50;
		l4[13] = spec->tcp_flags;
		memcpy(l4 + 20, spec->payload, spec->payload_bytes);
		return 20 + spec->payload_bytes;
	case NET_PROTOCOL_UDP:
		net_store16(l4, spec->source_port);
		net_store16(l4 + 2, spec->destination_port);
		net_store16(l4 + 4, 8 + spec->payload_bytes);
		memcpy(l4 + 8, spec->payload, spec->payload_bytes);
		return 8 + spec->payload_bytes;
	default:
		l4[0] = spec->icmp_type;
		net_store16(l4 + 4, 0x1234);
		memcpy(l4 + 8, spec->payload, spec->payload_bytes);
		return 8 + spec->payload_bytes;
	}
}

uint32_t host_build(uint8_t *frame, const struct packet_spec *spec)
{
	static const uint8_t nothing[1];
	struct packet_spec own = *spec;
	uint8_t *ip = frame + 14, *l4 = frame + 34;
	uint32_t l4_bytes, pseudo = 0;
	unsigned at;

	if (own.payload == 0) {
		own.payload = nothing;
	}
	l4_bytes = build_l4(l4, &own);
	memcpy(frame, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0", 14);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	net_store16(ip + 2, 20 + l4_bytes);
	ip[8] = 64;
	ip[9] = spec->protocol;
	put32(ip + 12, spec->source);
	put32(ip + 16, spec->destination);
	net_store16(ip + 10, (uint16_t)~host_checksum(ip, 20, 0));
	if (spec->protocol != NET_PROTOCOL_ICMP) {
		pseudo = host_checksum(ip + 12, 8, spec->protocol + l4_bytes);
	}
	at = spec->protocol == NET_PROTOCOL_TCP ? 16 : spec->protocol == NET_PROTOCOL_UDP ? 6 : 2;
	net_store16(l4 + at, (uint16_t)~host_checksum(l4, l4_bytes, pseudo));
	return 34 + l4_bytes;
}

void *host_exact(const void *bytes, size_t count)
{
	void *copy = malloc(count ? count : 1);

	memcpy(copy, bytes, count);
	return copy;
}
