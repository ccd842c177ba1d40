// The source: what it draws, what it knows, what it refuses.
#include "host.h"

#include "drivers/synth/trace.h"

enum { FLOWS = 12, FLOW_PACKETS = 3, NEEDED_PORT = 80, JUNK_PORT = 81 };

static uint8_t blob[FLOWS * FLOW_PACKETS * 128];

// Flow f: family f % 3, needed when even; packet k carries k in its payload.
static uint64_t build_trace(void)
{
	struct abi_trace_header header = {
		.magic = ABI_TRACE_MAGIC, .packet_count = FLOWS * FLOW_PACKETS, .flow_count = FLOWS};
	uint64_t at = sizeof header;

	memset(blob, 0, sizeof blob);
	memcpy(blob, &header, sizeof header);
	for (uint32_t i = 0; i < FLOWS * FLOW_PACKETS; i++) {
		uint32_t flow = i % FLOWS;
		uint8_t payload[4] = {(uint8_t)flow, (uint8_t)(i / FLOWS), 1, 2};
		struct packet_spec spec = {.protocol = NET_PROTOCOL_TCP,
					   .source = 0x0a000000 + flow,
					   .destination = 0xc0000202,
					   .source_port = 9,
					   .destination_port = flow % 2 ? JUNK_PORT : NEEDED_PORT,
					   .payload = payload,
					   .payload_bytes = sizeof payload};
		struct abi_trace_packet record = {.label = flow % 2 == 0, .family = (uint8_t)(flow % 3), .flow = flow};

		record.bytes = (uint16_t)host_build(blob + at + sizeof record, &spec);
		memcpy(blob + at, &record, sizeof record);
		at += sizeof record + ((record.bytes + 7u) & ~7u);
	}
	return at;
}

static const struct abi_phase even_phase = {.needed_mask = UINT32_MAX, .weights = {1, 1, 1}};

static void start(unsigned cpus)
{
	struct abi_listen listen = {.protocol = NET_PROTOCOL_TCP, .port = NEEDED_PORT, .phase_mask = 1};
	uint64_t bytes = build_trace();

	host_start(cpus);
	CHECK(net_listen(&listen, 1) == ABI_OK);
	CHECK(synth_load(blob, bytes, cpus) == ABI_OK);
	CHECK(synth_load(blob, bytes, cpus) == ABI_ERR_BUSY);
}

static uint8_t next_of_flow[FLOWS];
static uint64_t order_digest;
static uint32_t drawn[FLOWS];

// Stands where the hook's program is: sees the packets in the order offered.
static uint64_t watch(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *c, const uint8_t *packet,
		      uint32_t bytes)
{
	uint8_t flow = packet[bytes - 4], number = packet[bytes - 3];

	(void)index, (void)c;
	CHECK(flow < FLOWS && flow % host_cpus == cpu);
	CHECK(number == next_of_flow[flow]); // in order, and from the start again
	next_of_flow[flow] = (uint8_t)((number + 1) % FLOW_PACKETS);
	order_digest = order_digest * 31 + flow;
	drawn[flow]++;
	return ABI_NET_RX_PASS;
}

static uint64_t run(uint64_t seed, uint32_t packets)
{
	synth_reset();
	memset(next_of_flow, 0, sizeof next_of_flow);
	memset(drawn, 0, sizeof drawn);
	order_digest = 0;
	CHECK(synth_arm(&even_phase, seed, packets, 0) == ABI_OK);
	CHECK(synth_arm(&even_phase, seed, packets, 0) == ABI_ERR_BUSY);
	for (host_cpu = 0; host_cpu < host_cpus; host_cpu++) {
		while (synth_offer(host_cpu)) {
		}
	}
	host_cpu = 0;
	CHECK(synth_idle());
	return order_digest;
}

void test_seed_decides_the_order(void)
{
	struct synth_totals totals;
	uint64_t first;

	start(1);
	host_program = watch;
	hook_publish(ABI_HOOK_NET_RX, 1, 1, 1);
	first = run(7, 9000);
	CHECK(first == run(7, 9000));
	CHECK(first != run(8, 9000));
	for (unsigned flow = 0; flow < FLOWS; flow++) {
		CHECK(drawn[flow] > 600 && drawn[flow] < 900); // 750 expected, 5 sigma
	}
	synth_total(&totals);
	CHECK(totals.offered == 9000 && totals.completed == 9000);
	CHECK(totals.needed_offered + totals.junk_offered == 9000);
	CHECK(totals.needed_delivered == totals.needed_offered && totals.needed_changed == 0);
	CHECK(totals.junk_delivered == 0 && totals.signal_agrees == 9000);
	CHECK(totals.replies == totals.junk_offered);
}

void test_each_cpu_draws_its_own_flows(void)
{
	struct synth_totals totals;

	start(3);
	host_program = watch;
	hook_publish(ABI_HOOK_NET_RX, 1, 1, 7);
	run(7, 1001);
	synth_total(&totals);
	CHECK(totals.offered == 1001 && totals.completed == 1001);
}

void test_labels_follow_the_phase(void)
{
	struct abi_phase phase = even_phase;
	struct synth_totals totals;

	start(1);
	phase.needed_mask = 1 << 1; // even flows of family 1 only: 4 and 10
	CHECK(synth_arm(&phase, 7, 3000, 0) == ABI_OK);
	while (synth_offer(0)) {
	}
	synth_total(&totals);
	CHECK(totals.needed_offered > 400 && totals.needed_offered < 600);
	CHECK(totals.junk_delivered > 0 && totals.signal_agrees + totals.junk_delivered == 3000);
}

static uint64_t drop_all(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *c, const uint8_t *packet,
			 uint32_t bytes)
{
	(void)cpu, (void)index, (void)c, (void)packet, (void)bytes;
	return ABI_NET_RX_DROP;
}

void test_losses_and_changes_are_seen(void)
{
	struct synth_totals totals;

	start(1);
	host_program = drop_all;
	hook_publish(ABI_HOOK_NET_RX, 1, 1, 1);
	run(7, 6400);
	synth_total(&totals);
	CHECK(totals.completed == 6400 && totals.signal_known == 100); // the audited
	CHECK(totals.needed_delivered < 100 && totals.needed_delivered > 20);
	hook_publish(ABI_HOOK_NET_RX, 0, 0, 1);
	blob[sizeof(struct abi_trace_header) + 8 + 54] ^= 1; // flow 0's first payload byte, ...
	blob[sizeof(struct abi_trace_header) + 8 + 54 + 2] ^= 1; // ... checksum kept
	blob[sizeof(struct abi_trace_header) + 8 + 54] = 1;
	blob[sizeof(struct abi_trace_header) + 8 + 54 + 2] = 0;
	run(7, 6400);
	synth_total(&totals);
	CHECK(totals.needed_changed > 100);
	CHECK(totals.needed_delivered + totals.needed_changed == totals.needed_offered);
}

void test_floor_ends_junk_at_the_source(void)
{
	struct abi_net_rx_stats stats;
	struct synth_totals totals;

	start(1);
	net_set_bypass(true);
	synth_set_floor(true);
	run(7, 3000);
	synth_total(&totals);
	hook_stats(UINT32_MAX, &stats);
	CHECK(stats.offered == 0 && totals.offered == 3000);
	CHECK(net_packets_done(UINT32_MAX) == totals.needed_offered);
	CHECK(totals.needed_delivered == totals.needed_offered && totals.junk_delivered == 0);
}

static uint64_t redirect(uint32_t cpu, uint32_t index, const struct abi_net_rx_context *c, const uint8_t *packet,
			 uint32_t bytes)
{
	(void)cpu, (void)index, (void)c, (void)packet, (void)bytes;
	return ABI_NET_RX_REDIRECT;
}

// One CPU judges; all others only take what is steered to them.
void test_steered_packets_are_neither_lost_nor_doubled(void)
{
	struct abi_net_rx_stats stats;
	struct synth_totals totals;
	uint64_t steered;

	start(3);
	host_program = redirect;
	hook_publish(ABI_HOOK_NET_RX, 1, 1, 7);
	CHECK(synth_arm(&even_phase, 7, 3000, 0) == ABI_OK);
	for (host_cpu = 0; host_cpu < 3; host_cpu++) {
		while (synth_offer(host_cpu)) {
		}
	}
	hook_stats(UINT32_MAX, &stats);
	steered = 3000 - stats.delivered - stats.no_consumer;
	CHECK(steered > 0 && steered <= 3 * NET_STEER_PACKETS && !synth_idle());
	for (host_cpu = 0; host_cpu < 3; host_cpu++) {
		while (net_take_steered(host_cpu)) {
		}
	}
	host_cpu = 0;
	hook_stats(UINT32_MAX, &stats);
	synth_total(&totals);
	CHECK(synth_idle() && stats.delivered + stats.no_consumer == 3000);
	CHECK(stats.offered == 3000 && totals.needed_delivered == totals.needed_offered);
}

void test_hostile_traces_are_refused(void)
{
	static struct synth_trace trace;
	uint64_t bytes = build_trace();
	struct prng prng;

	for (uint64_t cut = 0; cut < bytes; cut++) {
		uint8_t *exact = host_exact(blob, cut);

		CHECK(synth_trace_build(&trace, exact, cut, 1) != ABI_OK);
		free(exact);
	}
	prng_seed(&prng, host_seed);
	for (int round = 0; round < 3000; round++) {
		uint8_t *exact = host_exact(blob, bytes);

		for (int flip = 0; flip < 4; flip++) {
			exact[prng_below(&prng, flip < 2 ? 200 : (uint32_t)bytes)] ^=
				(uint8_t)(1 + prng_below(&prng, 255));
		}
		if (synth_trace_build(&trace, exact, bytes, 1 + (unsigned)round % 8) == ABI_OK) {
			for (uint32_t i = 0; i < trace.packet_count; i++) {
				CHECK(trace.packets[i].offset + trace.packets[i].bytes <= bytes);
			}
		}
		free(exact);
		free(trace.packets);
		trace.packets = 0;
	}
}

// On a timer: late packets come one by one, an interval apart.
void test_poll_keeps_the_interval(void)
{
	struct synth_totals totals;

	start(1);
	CHECK(synth_arm(&even_phase, 7, 10, 1000) == ABI_OK);
	CHECK(!synth_poll(0, 0));
	synth_total(&totals);
	CHECK(totals.offered == 0);
	host_now_ns += 50000;
	for (uint32_t i = 1; i < 10; i++) {
		CHECK(!synth_poll(0, 0) && !synth_poll(0, 0));
		synth_total(&totals);
		CHECK(totals.offered == i);
		host_now_ns += 1000;
	}
	synth_stop();
	host_now_ns += 5000;
	CHECK(!synth_poll(0, 0) && synth_idle());
}
