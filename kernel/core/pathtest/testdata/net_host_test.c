// Parsing, checksums, replies and delivery.
#include "host.h"

static const uint32_t client = 0xc0000201, served = 0xc0000202;

static struct packet_spec spec_of(uint8_t protocol, uint16_t port, const uint8_t *payload, uint32_t bytes)
{
	return (struct packet_spec){.protocol = protocol,
				    .source = client,
				    .destination = served,
				    .source_port = 40000,
				    .destination_port = port,
				    .sequence = 1000,
				    .icmp_type = 8,
				    .payload = payload,
				    .payload_bytes = bytes};
}

void test_checksum_equals_rfc1071(void)
{
	struct prng prng;
	uint8_t bytes[300];

	prng_seed(&prng, host_seed);
	for (int round = 0; round < 20000; round++) {
		uint32_t at = prng_below(&prng, 8), count = prng_below(&prng, 280);
		uint16_t fast;

		for (uint32_t i = 0; i < sizeof bytes; i++) {
			bytes[i] = round % 3 ? (uint8_t)prng_next(&prng) : 0xff;
		}
		fast = net_fold(net_sum(bytes + at, count, 0));
		fast = (uint16_t)(fast << 8 | fast >> 8);
		CHECK(fast == host_checksum(bytes + at, count, 0));
	}
}

static uint8_t parse_exact(const uint8_t *frame, uint32_t bytes, struct net_parsed *parsed)
{
	uint8_t *exact = host_exact(frame, bytes);
	uint8_t outcome = net_parse(exact, bytes, parsed);

	if (outcome == ABI_OUTCOME_UNKNOWN) {
		CHECK(parsed->payload_offset + parsed->payload_bytes <= bytes);
		CHECK(parsed->ip_offset + parsed->ip_bytes <= bytes);
	}
	free(exact);
	return outcome;
}

void test_parse_survives_every_cut_and_flip(void)
{
	static const uint8_t protocols[] = {NET_PROTOCOL_TCP, NET_PROTOCOL_UDP, NET_PROTOCOL_ICMP};
	uint8_t frame[256], payload[37];
	struct net_parsed parsed;

	memset(payload, 0xa5, sizeof payload);
	for (unsigned p = 0; p < 3; p++) {
		struct packet_spec spec = spec_of(protocols[p], 80, payload, sizeof payload);
		uint32_t bytes = host_build(frame, &spec);

		CHECK(parse_exact(frame, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
		CHECK(parsed.payload_bytes == sizeof payload);
		CHECK(memcmp(frame + parsed.payload_offset, payload, sizeof payload) == 0);
		for (uint32_t cut = 0; cut < bytes; cut++) {
			CHECK(parse_exact(frame, cut, &parsed) == ABI_OUTCOME_MALFORMED);
		}
		// Every single-bit error behind the Ethernet header is found or
		// makes the packet another protocol's, except in bits no checksum covers.
		for (uint32_t bit = 14 * 8; bit < bytes * 8; bit++) {
			frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
			CHECK(parse_exact(frame, bytes, &parsed) == ABI_OUTCOME_MALFORMED);
			frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

void test_parse_survives_noise(void)
{
	uint8_t frame[128];
	struct net_parsed parsed;
	struct prng prng;

	prng_seed(&prng, host_seed);
	for (int round = 0; round < 200000; round++) {
		uint32_t bytes = prng_below(&prng, sizeof frame);

		for (uint32_t i = 0; i < bytes; i++) {
			frame[i] = (uint8_t)prng_next(&prng);
		}
		if (bytes > 14 && round % 2) {
			frame[12] = 8;
			frame[13] = 0;
			frame[14] = 0x40 | (frame[14] & 0xf);
		}
		parse_exact(frame, bytes, &parsed);
	}
}

static uint32_t refuse(const uint8_t *frame, uint32_t bytes, uint8_t *out)
{
	struct net_parsed parsed;

	CHECK(net_parse(frame, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
	return net_reply_refusal(frame, &parsed, out);
}

static uint32_t load32(const uint8_t *at)
{
	return (uint32_t)net_load16(at) << 16 | net_load16(at + 2);
}

// RFC 9293 section 3.10.7.1, with and without ACK in the segment.
void test_reset(void)
{
	uint8_t frame[256], out[ABI_PACKET_BYTES_MAX];
	struct packet_spec spec = spec_of(NET_PROTOCOL_TCP, 81, 0, 0);
	struct net_parsed parsed;
	uint32_t bytes;

	spec.tcp_flags = 0x02; // SYN
	bytes = refuse(frame, host_build(frame, &spec), out);
	CHECK(net_parse(out, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
	CHECK(parsed.source_port == 81 && parsed.destination_port == 40000);
	CHECK(load32(out + 26) == served && load32(out + 30) == client);
	CHECK(memcmp(out, frame + 6, 6) == 0 && memcmp(out + 6, frame, 6) == 0);
	CHECK(out[47] == 0x14 && load32(out + 38) == 0 && load32(out + 42) == 1001);

	spec.tcp_flags = 0x10; // ACK
	spec.acknowledged = 0xdeadbeef;
	bytes = refuse(frame, host_build(frame, &spec), out);
	CHECK(net_parse(out, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
	CHECK(out[47] == 0x04 && load32(out + 38) == 0xdeadbeef);

	spec.tcp_flags = 0x14; // a reset is never answered
	CHECK(refuse(frame, host_build(frame, &spec), out) == 0);
}

// RFC 1122 section 3.2.2: header and data quoted unchanged, at most 576 bytes,
// and silence where many could answer.
void test_unreachable(void)
{
	uint8_t frame[1600], out[ABI_PACKET_BYTES_MAX], payload[1200];
	struct packet_spec spec = spec_of(NET_PROTOCOL_UDP, 9, payload, 11);
	struct net_parsed parsed;
	uint32_t bytes;

	memset(payload, 0x5a, sizeof payload);
	bytes = refuse(frame, host_build(frame, &spec), out);
	CHECK(bytes == 14 + 20 + 8 + 39);
	CHECK(net_parse(out, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
	CHECK(out[34] == 3 && out[35] == 3 && memcmp(out + 42, frame + 14, 39) == 0);
	spec.payload_bytes = sizeof payload;
	bytes = refuse(frame, host_build(frame, &spec), out);
	CHECK(bytes == 14 + 576);
	CHECK(net_parse(out, bytes, &parsed) == ABI_OUTCOME_UNKNOWN);
	spec.destination = 0xe0000001;
	CHECK(refuse(frame, host_build(frame, &spec), out) == 0);
	spec.destination = served;
	spec.source = 0xffffffff;
	CHECK(refuse(frame, host_build(frame, &spec), out) == 0);
}

static uint32_t transmitted;
static uint8_t transmitted_frame[ABI_PACKET_BYTES_MAX];

static void take(const uint8_t *frame, uint32_t bytes)
{
	transmitted++;
	memcpy(transmitted_frame, frame, bytes);
}

static struct net_result last_result;

static void remember(const struct source_tag *tag, const struct net_result *result)
{
	(void)tag;
	last_result = *result;
}

static void listen_to(uint8_t protocol, uint16_t port, uint32_t phases)
{
	struct abi_listen listen = {.protocol = protocol, .port = port, .phase_mask = phases};

	CHECK(net_listen(&listen, 1) == ABI_OK);
}

static uint8_t receive(const struct packet_spec *spec)
{
	struct source_tag tag = {0};
	uint8_t frame[ABI_PACKET_BYTES_MAX];
	uint32_t bytes = host_build(frame, spec);
	uint8_t *exact = host_exact(frame, bytes);

	net_receive(NET_IFINDEX_SYNTH, exact, bytes, &tag);
	free(exact);
	return last_result.outcome;
}

void test_delivery_by_phase(void)
{
	uint8_t payload[1400];
	struct packet_spec web = spec_of(NET_PROTOCOL_TCP, 80, payload, 0);
	struct packet_spec ping = spec_of(NET_PROTOCOL_ICMP, 0, payload, 56);

	host_start(1);
	net_set_account(remember);
	net_set_transmit(NET_IFINDEX_SYNTH, take);
	listen_to(NET_PROTOCOL_TCP, 80, 1 << 1);
	listen_to(NET_PROTOCOL_ICMP, 0, 1 << 1);
	net_set_phase(0);
	CHECK(receive(&web) == ABI_OUTCOME_NO_CONSUMER && transmitted == 1);
	CHECK(receive(&ping) == ABI_OUTCOME_NO_CONSUMER && transmitted == 1);
	net_set_phase(1);
	for (uint32_t bytes = 0; bytes < sizeof payload; bytes++) {
		memset(payload, (int)bytes, sizeof payload);
		web.payload_bytes = bytes;
		CHECK(receive(&web) == ABI_OUTCOME_DELIVERED);
		CHECK(last_result.delivered_bytes == bytes);
		CHECK(last_result.digest == net_digest(payload, bytes));
	}
	CHECK(receive(&ping) == ABI_OUTCOME_DELIVERED && transmitted == 2);
	CHECK(transmitted_frame[34] == 0 && memcmp(transmitted_frame + 42, payload, 56) == 0);
}

// A hundred ports in a table of 128, and one that is not there.
void test_many_consumers(void)
{
	struct packet_spec spec = spec_of(NET_PROTOCOL_UDP, 0, 0, 0);

	host_start(1);
	net_set_account(remember);
	for (uint16_t port = 1; port <= NET_CONSUMERS_MAX; port++) {
		listen_to(NET_PROTOCOL_UDP, (uint16_t)(port * 257), 1);
	}
	for (uint32_t port = 1; port < 65536; port++) {
		bool wanted = port % 257 == 0 && port / 257 <= NET_CONSUMERS_MAX;

		spec.destination_port = (uint16_t)port;
		CHECK(receive(&spec) == (wanted ? ABI_OUTCOME_DELIVERED : ABI_OUTCOME_NO_CONSUMER));
	}
}
