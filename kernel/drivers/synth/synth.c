// Drawing, offering and accounting. See synth.h; the index of the trace is
// built in trace.c.
#include "drivers/synth/synth.h"

#include "arch/arm64/arch.h"
#include "core/lib/string.h"
#include "core/mem/page.h"
#include "core/net/net.h"
#include "core/sync/spinlock.h"
#include "drivers/synth/prng.h"
#include "drivers/synth/trace.h"

enum {
	TRANSMIT_FRAMES = 16,
	TRANSMIT_PAGE_ORDER = 3, // 16 frames of 2 KiB
};
_Static_assert(TRANSMIT_FRAMES *ABI_PACKET_BYTES_MAX == PAGE_BYTES << TRANSMIT_PAGE_ORDER, "transmit buffers");

struct synth_cpu {
	_Alignas(64) struct prng prng;
	uint32_t remaining;
	uint32_t interval_ns;
	uint64_t next_due_ns;
	uint32_t weight_total; // of families that have flows on this CPU
	uint16_t weights[ABI_TRACE_FAMILY_MAX];
	uint8_t (*transmit)[ABI_PACKET_BYTES_MAX]; // the last TRANSMIT_FRAMES replies
	struct synth_totals totals; // written by this CPU only
};

static struct synth_trace trace;
static struct synth_cpu cpus[ABI_CPU_MAX];
static uint32_t needed_mask;
static bool floor_on;

// Packets end here, on whichever CPU ended them.
static void account(const struct source_tag *tag, const struct net_result *result)
{
	struct synth_totals *totals = &cpus[cpu_id()].totals;
	bool wanted = result->outcome == ABI_OUTCOME_DELIVERED;

	if (wanted && tag->needed) {
		if (result->digest == tag->expected_digest && result->delivered_bytes == tag->expected_bytes) {
			totals->needed_delivered++;
		} else {
			totals->needed_changed++;
		}
	}
	if (wanted && !tag->needed) {
		totals->junk_delivered++;
	}
	totals->signal_wanted += wanted;
	if (result->outcome != ABI_OUTCOME_UNKNOWN) {
		totals->signal_known++;
		totals->signal_agrees += wanted == (tag->needed != 0);
	}
	__atomic_store_n(&totals->completed, totals->completed + 1, __ATOMIC_RELEASE);
}

// The device's transmit side: like any device it takes the frame over into
// memory of its own, because the stack uses its buffer again. On this wire
// nobody answers.
static void send_out(const uint8_t *frame, uint32_t bytes)
{
	struct synth_cpu *self = &cpus[cpu_id()];

	memcpy(self->transmit[self->totals.replies % TRANSMIT_FRAMES], frame, bytes);
	self->totals.replies++;
	self->totals.reply_bytes += bytes;
}

int32_t synth_load(const uint8_t *blob, uint64_t blob_bytes, uint32_t cpu_total)
{
	int32_t code;

	if (trace.packets != 0) {
		return ABI_ERR_BUSY;
	}
	for (uint32_t cpu = 0; cpu < cpu_total && cpu < ABI_CPU_MAX; cpu++) {
		if (cpus[cpu].transmit == 0) {
			cpus[cpu].transmit = page_alloc(TRANSMIT_PAGE_ORDER);
		}
		if (cpus[cpu].transmit == 0) {
			return ABI_ERR_NO_SPACE;
		}
	}
	code = synth_trace_build(&trace, blob, blob_bytes, cpu_total);
	if (code == ABI_OK) {
		net_set_account(account);
		net_set_transmit(NET_IFINDEX_SYNTH, send_out);
	}
	return code;
}

bool synth_loaded(void)
{
	return trace.packets != 0;
}

// Which families this CPU can draw, and their total weight.
static void weigh(uint32_t cpu, const struct abi_phase *phase)
{
	struct synth_cpu *self = &cpus[cpu];

	self->weight_total = 0;
	for (uint32_t family = 0; family < ABI_TRACE_FAMILY_MAX; family++) {
		uint16_t weight = phase->weights[family];

		if (trace.lists[cpu][family].count == 0) {
			weight = 0;
		}
		self->weights[family] = weight;
		self->weight_total += weight;
	}
}

int32_t synth_arm(const struct abi_phase *phase, uint64_t seed, uint32_t packet_count, uint32_t interval_ns)
{
	uint32_t able = 0, turn = 0;

	if (trace.packets == 0) {
		return ABI_ERR_NOT_FOUND;
	}
	for (uint32_t cpu = 0; cpu < trace.cpus; cpu++) {
		if (synth_remaining(cpu) != 0) {
			return ABI_ERR_BUSY;
		}
	}
	for (uint32_t cpu = 0; cpu < trace.cpus; cpu++) {
		weigh(cpu, phase);
		able += cpus[cpu].weight_total != 0;
	}
	if (able == 0) {
		return ABI_ERR_NOT_FOUND;
	}
	needed_mask = phase->needed_mask;
	for (uint32_t cpu = 0; cpu < trace.cpus; cpu++) {
		struct synth_cpu *self = &cpus[cpu];
		uint32_t share;

		if (self->weight_total == 0) {
			continue;
		}
		share = packet_count / able + (turn++ < packet_count % able);
		prng_seed(&self->prng, seed + cpu);
		self->interval_ns = interval_ns;
		self->next_due_ns = arch_now_ns() + interval_ns;
		store_release(&self->remaining, share);
	}
	return ABI_OK;
}

void synth_stop(void)
{
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		store_release(&cpus[cpu].remaining, 0);
	}
}

void synth_reset(void)
{
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		memset(&cpus[cpu].totals, 0, sizeof cpus[cpu].totals);
	}
	synth_trace_rewind(&trace);
}

void synth_set_floor(bool on)
{
	floor_on = on;
}

static uint32_t draw_family(struct synth_cpu *self)
{
	uint32_t point = prng_below(&self->prng, self->weight_total);

	for (uint32_t family = 0; family < ABI_TRACE_FAMILY_MAX; family++) {
		if (point < self->weights[family]) {
			return family;
		}
		point -= self->weights[family];
	}
	return 0; // not reached: point < sum of weights
}

static const struct synth_packet *draw(uint32_t cpu, uint32_t *number)
{
	struct synth_cpu *self = &cpus[cpu];
	const struct synth_list *list = &trace.lists[cpu][draw_family(self)];
	uint32_t flow_number = trace.by_family[list->first + prng_below(&self->prng, list->count)];
	struct synth_flow *flow = &trace.flows[flow_number];

	*number = trace.by_flow[flow->first + flow->next];
	if (++flow->next == flow->count) {
		flow->next = 0;
	}
	return &trace.packets[*number];
}

bool synth_offer(uint32_t cpu)
{
	struct synth_cpu *self = &cpus[cpu];
	uint32_t left = load_acquire(&self->remaining), number;
	const struct synth_packet *packet;
	struct source_tag tag;

	// A stop from another CPU must not be overwritten with left - 1.
	if (left == 0 || !__atomic_compare_exchange_n(&self->remaining, &left, left - 1, false, __ATOMIC_ACQ_REL,
						      __ATOMIC_RELAXED)) {
		return false;
	}
	packet = draw(cpu, &number);
	tag.expected_digest = packet->digest;
	tag.expected_bytes = packet->payload_bytes;
	tag.trace_index = number;
	tag.needed = packet->label == ABI_LABEL_NEEDED && (needed_mask >> packet->family & 1);
	self->totals.needed_offered += tag.needed;
	self->totals.junk_offered += !tag.needed;
	__atomic_store_n(&self->totals.offered, self->totals.offered + 1, __ATOMIC_RELEASE);
	if (floor_on && !tag.needed) {
		__atomic_store_n(&self->totals.completed, self->totals.completed + 1, __ATOMIC_RELEASE);
		return true;
	}
	net_receive(NET_IFINDEX_SYNTH, trace.blob + packet->offset, packet->bytes, &tag);
	return true;
}

uint32_t synth_remaining(uint32_t cpu)
{
	return cpu < ABI_CPU_MAX ? load_acquire(&cpus[cpu].remaining) : 0;
}

bool synth_idle(void)
{
	uint64_t offered = 0, completed = 0;

	// Completions first: one that is missed here is seen as under way.
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		completed += load_acquire(&cpus[cpu].totals.completed);
	}
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		if (synth_remaining(cpu) != 0) {
			return false;
		}
		offered += load_acquire(&cpus[cpu].totals.offered);
	}
	return offered == completed;
}

uint32_t synth_packet_count(void)
{
	return trace.packet_count;
}

const uint8_t *synth_packet(uint32_t number, uint32_t *bytes)
{
	*bytes = trace.packets[number].bytes;
	return trace.blob + trace.packets[number].offset;
}

bool synth_poll(uint32_t cpu, void *unused)
{
	struct synth_cpu *self = &cpus[cpu];
	uint64_t now;

	(void)unused;
	if (load_acquire(&self->remaining) == 0) {
		return false;
	}
	now = arch_now_ns();
	if (now >= self->next_due_ns) {
		synth_offer(cpu);
		self->next_due_ns += self->interval_ns;
		now = arch_now_ns();
		if (self->next_due_ns < now) {
			self->next_due_ns = now + self->interval_ns;
		}
	}
	if (load_acquire(&self->remaining) == 0) {
		return false;
	}
	if (self->next_due_ns > now) {
		net_rx_wake_at(cpu, self->next_due_ns);
		return false;
	}
	return true;
}

void synth_total(struct synth_totals *out)
{
	uint64_t *sum = (uint64_t *)out;

	memset(out, 0, sizeof *out);
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		const uint64_t *one = (const uint64_t *)&cpus[cpu].totals;

		for (uint32_t i = 0; i < sizeof *out / sizeof *sum; i++) {
			sum[i] += one[i];
		}
	}
}
