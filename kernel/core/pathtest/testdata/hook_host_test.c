// Decisions, audits, rings, flows and the swap of versions.
#include <pthread.h>
#include <sched.h>

#include "host.h"

static uint8_t frame[128];

static uint32_t make_packet(uint32_t source)
{
	struct packet_spec spec = {.protocol = NET_PROTOCOL_UDP,
				   .source = source,
				   .destination = 0xc0000202,
				   .source_port = 1,
				   .destination_port = 2};

	return host_build(frame, &spec);
}

static struct hook_decision judge(struct abi_net_rx_context *context, uint32_t bytes)
{
	struct hook_decision decision;

	*context = (struct abi_net_rx_context){.data_end = bytes};
	hook_net_rx(context, frame, bytes, &decision);
	return decision;
}

static uint64_t answer;

static uint64_t fixed_answer(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *c, const uint8_t *packet,
			     uint32_t bytes)
{
	(void)cpu, (void)index, (void)c, (void)packet, (void)bytes;
	return answer;
}

void test_default_decides_when_the_program_fails(void)
{
	static const struct {
		uint64_t answer;
		bool panics;
		uint32_t action;
		uint8_t flags;
	} table[] = {
		{ABI_NET_RX_PASS, false, ABI_NET_RX_PASS, ABI_EVENT_PROGRAM_RAN},
		{ABI_NET_RX_REDIRECT, false, ABI_NET_RX_REDIRECT, ABI_EVENT_PROGRAM_RAN},
		{ABI_NET_RX_ABORTED, false, ABI_NET_RX_PASS, ABI_EVENT_ERROR},
		{ABI_NET_RX_TX, false, ABI_NET_RX_PASS, ABI_EVENT_ERROR},
		{5, false, ABI_NET_RX_PASS, ABI_EVENT_ERROR},
		{0x80000001u, false, ABI_NET_RX_PASS, ABI_EVENT_ERROR},
		{ABI_NET_RX_DROP, true, ABI_NET_RX_PASS, ABI_EVENT_ERROR},
	};
	struct abi_net_rx_context context;
	struct abi_net_rx_stats stats;
	struct hook_decision d;
	uint32_t bytes = make_packet(0xc0000201), errors = 0;

	host_start(1);
	d = judge(&context, bytes);
	CHECK(d.action == ABI_NET_RX_PASS && d.flags == 0 && d.slot_version == 0);
	hook_net_rx_done(&context, frame, bytes, &d, ABI_OUTCOME_NO_CONSUMER);
	hook_publish(ABI_HOOK_NET_RX, 2, 77, 1);
	host_program = fixed_answer;
	for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
		answer = table[i].answer;
		host_program_panics = table[i].panics;
		d = judge(&context, bytes);
		CHECK(d.action == table[i].action && d.flags == table[i].flags);
		CHECK(d.slot_version == 77);
		CHECK(d.deliver == (d.action == ABI_NET_RX_PASS));
		hook_net_rx_done(&context, frame, bytes, &d, ABI_OUTCOME_NO_CONSUMER);
		errors += (table[i].flags & ABI_EVENT_ERROR) != 0;
	}
	hook_stats(UINT32_MAX, &stats);
	CHECK(stats.errors == errors && stats.offered == 8 && stats.swaps_duplicated == 0);
	hook_net_rx_done(&context, frame, bytes, &d, ABI_OUTCOME_NO_CONSUMER);
	hook_stats(0, &stats);
	CHECK(stats.swaps_duplicated == 1);
}

static uint64_t code_answer(const struct abi_net_rx_context *context, const uint8_t *packet, uint64_t bytes)
{
	return packet == frame && bytes == context->data_end ? ABI_NET_RX_DROP : ABI_NET_RX_TX;
}

void test_compiled_code_decides_where_there_is_any(void)
{
	struct abi_net_rx_context context;
	uint32_t bytes = make_packet(0xc0000201);
	struct hook_decision d;

	host_start(1);
	host_program = fixed_answer;
	answer = ABI_NET_RX_PASS;
	host_code = code_answer;
	CHECK(hook_load_code(ABI_HOOK_NET_RX, 1, frame, 4));
	hook_publish(ABI_HOOK_NET_RX, 1, 5, 1);
	CHECK(judge(&context, bytes).action == ABI_NET_RX_DROP);
	// Not while it is current, not on the default's index, not too much.
	CHECK(!hook_load_code(ABI_HOOK_NET_RX, 1, frame, 4));
	CHECK(!hook_load_code(ABI_HOOK_NET_RX, 0, frame, 4));
	CHECK(!hook_load_code(ABI_HOOK_NET_RX, 2, frame, 1 << 20));
	host_code_faults = true;
	d = judge(&context, bytes);
	CHECK(d.action == ABI_NET_RX_PASS && d.flags == ABI_EVENT_ERROR && d.deliver);
	CHECK(host_faults_contained == 1);
	host_code_faults = false;
	// Without code the interpreter decides.
	hook_publish(ABI_HOOK_NET_RX, 2, 6, 1);
	CHECK(judge(&context, bytes).action == ABI_NET_RX_PASS);
	CHECK(hook_load_code(ABI_HOOK_NET_RX, 1, 0, 0));
	hook_publish(ABI_HOOK_NET_RX, 1, 7, 1);
	CHECK(judge(&context, bytes).action == ABI_NET_RX_PASS);
}

void test_one_drop_of_64_is_audited(void)
{
	struct abi_net_rx_context context;
	struct abi_net_rx_stats stats;
	uint32_t bytes = make_packet(0xc0000201), audited = 0;

	host_start(1);
	hook_publish(ABI_HOOK_NET_RX, 1, 5, 1);
	host_program = fixed_answer;
	answer = ABI_NET_RX_DROP;
	for (uint32_t i = 0; i < 640; i++) {
		struct hook_decision d = judge(&context, bytes);

		CHECK(d.action == ABI_NET_RX_DROP);
		CHECK(d.deliver == (i % HOOK_AUDIT_INTERVAL == 0));
		audited += d.deliver;
		hook_net_rx_done(&context, frame, bytes, &d, d.deliver ? ABI_OUTCOME_DELIVERED : ABI_OUTCOME_UNKNOWN);
	}
	hook_stats(0, &stats);
	CHECK(audited == 10 && stats.audited == 10 && stats.audited_wanted == 10);
	CHECK(stats.dropped == 630 && stats.delivered == 10);
	CHECK(stats.offered == stats.dropped + stats.delivered);
	hook_publish(ABI_HOOK_NET_RX, 2, 6, 1); // a new version's first drop is audited
	CHECK(judge(&context, bytes).deliver);
}

void test_full_ring_loses_the_newest_and_counts(void)
{
	struct abi_net_rx_context context;
	struct abi_net_rx_event event;
	uint32_t bytes = make_packet(0xc0000201);

	host_start(1);
	for (uint32_t i = 0; i < ABI_RING_EVENTS + 100; i++) {
		struct hook_decision d = judge(&context, bytes);

		hook_net_rx_done(&context, frame, bytes, &d, ABI_OUTCOME_NO_CONSUMER);
	}
	CHECK(hook_ring_lost(0) == 100);
	for (uint32_t i = 0; i < ABI_RING_EVENTS; i++) {
		CHECK(hook_ring_read(0, &event));
		CHECK(event.sequence == i && event.outcome == ABI_OUTCOME_NO_CONSUMER);
		CHECK(event.snap_bytes == bytes && memcmp(event.snap, frame, bytes) == 0);
		CHECK(event.packet_bytes == bytes && event.flow_packets == i % 1024 + 1);
	}
	CHECK(!hook_ring_read(0, &event) && !hook_ring_read(ABI_CPU_MAX, &event));
}

void test_snap_of_every_length(void)
{
	struct abi_net_rx_context context = {0};
	struct abi_net_rx_event event;
	struct hook_decision d;
	uint8_t packet[200];

	host_start(1);
	for (uint32_t i = 0; i < sizeof packet; i++) {
		packet[i] = (uint8_t)(i * 7 + 1);
	}
	for (uint32_t bytes = 0; bytes <= sizeof packet; bytes++) {
		uint8_t *exact = host_exact(packet, bytes);
		uint32_t kept = bytes < ABI_EVENT_SNAP_BYTES ? bytes : ABI_EVENT_SNAP_BYTES;

		hook_net_rx(&context, exact, bytes, &d);
		hook_net_rx_done(&context, exact, bytes, &d, ABI_OUTCOME_MALFORMED);
		free(exact);
		CHECK(hook_ring_read(0, &event) && event.snap_bytes == kept);
		CHECK(memcmp(event.snap, packet, kept) == 0);
	}
}

void test_flows_count_by_window_and_age(void)
{
	struct abi_net_rx_context context;

	host_start(1);
	for (uint32_t i = 0; i < HOOK_FLOW_WINDOW_PACKETS; i++) {
		uint32_t bytes = make_packet(0x0a000000 + i % 4);

		host_now_ns += 100;
		judge(&context, bytes);
		CHECK(context.flow_packets == i / 4 + 1);
		CHECK(i >= 4 || context.flow_age_ns == 0);
	}
	judge(&context, make_packet(0x0a000000));
	CHECK(context.flow_packets == 1); // a new window
	CHECK(context.flow_age_ns >= 100 * (HOOK_FLOW_WINDOW_PACKETS - 1));
	for (uint32_t i = 0; i < 100000; i++) { // far more sources than places
		judge(&context, make_packet(0x0b000000 + i));
		CHECK(context.flow_packets == 1 && context.flow_age_ns == 0);
	}
	host_now_ns += 1ull << 33;
	judge(&context, make_packet(0x0b000000 + 99999));
	CHECK(context.flow_age_ns == UINT32_MAX);
	frame[12] = 0x86;
	judge(&context, 60);
	CHECK(context.flow_packets == 0 && context.flow_age_ns == 0);
}

// --- the swap: CPUs run versions whose storage is poisoned as soon as
// hook_quiescent says so ---

enum { SWAP_CPUS = 3, SWAP_PACKETS = 60000, POISON = 0x50150 };
static uint32_t storage[HOOK_VERSIONS]; // the version number, or POISON
static uint64_t poisoned_runs;
static uint32_t running_cpus;

static uint64_t touch_storage(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *c, const uint8_t *packet,
			      uint32_t bytes)
{
	uint32_t before = __atomic_load_n(&storage[index], __ATOMIC_RELAXED);

	(void)cpu, (void)c, (void)packet, (void)bytes;
	if (cpu == 0) {
		sched_yield(); // stay inside for long
	}
	if (before == POISON || before != __atomic_load_n(&storage[index], __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&poisoned_runs, 1, __ATOMIC_RELAXED);
	}
	return ABI_NET_RX_PASS;
}

static void *packets_of_cpu(void *argument)
{
	struct abi_net_rx_context context = {0};
	struct abi_net_rx_event event;
	uint64_t seen = 0, expected = 0;

	host_cpu = (unsigned)(uintptr_t)argument;
	for (uint32_t i = 0; i < SWAP_PACKETS; i++) {
		struct hook_decision d;

		hook_net_rx(&context, frame, 42, &d);
		hook_net_rx_done(&context, frame, 42, &d, ABI_OUTCOME_NO_CONSUMER);
		while (i % 512 == 511 && hook_ring_read(host_cpu, &event)) {
			CHECK(event.sequence == expected);
			expected++;
			seen++;
		}
	}
	while (hook_ring_read(host_cpu, &event)) {
		seen++;
	}
	CHECK(seen + hook_ring_lost(host_cpu) == SWAP_PACKETS);
	__atomic_fetch_sub(&running_cpus, 1, __ATOMIC_RELEASE);
	return 0;
}

static uint32_t swap_until_done(void)
{
	uint32_t swaps = 0, index = 1, version = 1;

	while (__atomic_load_n(&running_cpus, __ATOMIC_ACQUIRE) > 0) {
		uint32_t next = index == 1 ? 2 : 1;
		uint32_t mask = swaps % 3 == 0 ? 1u << swaps % SWAP_CPUS : (1u << SWAP_CPUS) - 1;

		__atomic_store_n(&storage[next], ++version, __ATOMIC_RELAXED);
		hook_publish(ABI_HOOK_NET_RX, next, version, mask); // canary first, at times
		hook_publish(ABI_HOOK_NET_RX, next, version, (1u << SWAP_CPUS) - 1);
		while (!hook_quiescent(ABI_HOOK_NET_RX, index)) {
			sched_yield();
		}
		__atomic_store_n(&storage[index], POISON, __ATOMIC_RELAXED);
		index = next;
		swaps++;
	}
	return swaps;
}

void test_swap_under_load(void)
{
	struct abi_net_rx_stats stats;
	pthread_t threads[SWAP_CPUS];
	uint32_t swaps;

	host_start(SWAP_CPUS);
	make_packet(0xc0000201);
	host_program = touch_storage;
	running_cpus = SWAP_CPUS;
	storage[1] = 1;
	hook_publish(ABI_HOOK_NET_RX, 1, 1, (1u << SWAP_CPUS) - 1);
	for (uintptr_t cpu = 0; cpu < SWAP_CPUS; cpu++) {
		pthread_create(&threads[cpu], 0, packets_of_cpu, (void *)cpu);
	}
	swaps = swap_until_done();
	for (unsigned cpu = 0; cpu < SWAP_CPUS; cpu++) {
		pthread_join(threads[cpu], 0);
	}
	hook_stats(UINT32_MAX, &stats);
	printf("swaps %u, runs of a retired version %llu\n", swaps, (unsigned long long)poisoned_runs);
	CHECK(poisoned_runs == 0 && swaps > 10);
	CHECK(stats.offered == SWAP_PACKETS * SWAP_CPUS);
	CHECK(stats.no_consumer == stats.offered && stats.swaps_duplicated == 0);
}

void test_canary_flag_and_quiescence(void)
{
	struct abi_net_rx_context context;
	struct abi_net_rx_stats stats;
	uint32_t bytes = make_packet(0xc0000201), version;

	host_start(2);
	host_program = fixed_answer;
	answer = ABI_NET_RX_PASS;
	hook_publish(ABI_HOOK_NET_RX, 1, 10, 2); // CPU 1 only
	hook_stats(UINT32_MAX, &stats);
	CHECK(stats.slot_version == 0 && stats.canary_version == 10);
	CHECK(!hook_quiescent(ABI_HOOK_NET_RX, 1) && hook_quiescent(ABI_HOOK_NET_RX, 2));
	host_cpu = 1;
	CHECK(judge(&context, bytes).flags == (ABI_EVENT_PROGRAM_RAN | ABI_EVENT_CANARY));
	hook_publish(ABI_HOOK_NET_RX, 1, 10, 3);
	CHECK(judge(&context, bytes).flags == ABI_EVENT_PROGRAM_RAN);
	hook_stats(UINT32_MAX, &stats);
	CHECK(stats.slot_version == 10 && stats.canary_version == 0);
	hook_publish(ABI_HOOK_NET_RX, 0, 99, 3);
	CHECK(hook_current(0, &version) == 0 && version == 0);
	CHECK(hook_quiescent(ABI_HOOK_NET_RX, 1) && !hook_quiescent(ABI_HOOK_NET_RX, 0));
	host_cpu = 0;
}
