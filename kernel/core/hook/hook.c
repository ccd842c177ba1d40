// Slot table, epochs, decisions and counters of HookNetRX. See hook.h; the
// flow table is in flow.c, the event rings are in ring.c.
//
// Ordering of a swap. A reader (the packet path of CPU c) does
//
//	R1  entered[c] = n        (sequentially consistent)
//	R2  s = current[c]        (sequentially consistent)
//	R3  run the version s names
//	R4  left[c] = n           (release)
//
// and a publisher (any thread, under `publish_lock`) does
//
//	W1  current[c] = new      (sequentially consistent; the version's storage
//	                           was written before)
//	W2  retired[old][c] = entered[c]  (sequentially consistent load)
//
// R1, R2 against W1, W2 is the store-buffer pattern; all four are in one total
// order, so at least one side sees the other (on ARM: stlr, ldar are ordered).
// If packet n still got the old slot in R2, then W2 reads a value >= n.
// `left[c] >= retired[old][c]` (acquire, against R4) then says that packet n
// has left R3, and current[c] != old says that no later packet can enter it.
// Both together, on all CPUs, are hook_quiescent. No CPU has to be idle for
// that, and a busy CPU cannot starve the test: entered only grows, and the
// snapshot does not.
//
// Reader and publisher may share a CPU (net.rx preempts a publisher); the
// argument is the same.
#include "core/hook/hook.h"

#include "arch/arm64/arch.h"
#include "core/code/code.h"
#include "core/hook/internal.h"
#include "core/hook/path.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/sync/spinlock.h"
#include "core/trap/guard.h"
#include "rt/services.h"

// A slot word names everything the reader needs, so that one load is one
// consistent answer.
//
//	63           32 31        9   8    7        0
//	+--------------+-----------+------+----------+
//	|   version    |     0     |canary|  index   |
//	+--------------+-----------+------+----------+
#define SLOT_INDEX(slot) ((uint32_t)(slot) & 0xff)
#define SLOT_CANARY (1u << 8)
#define SLOT_VERSION(slot) ((uint32_t)((slot) >> 32))

struct hook_cpu hook_cpus[ABI_CPU_MAX];

static struct spinlock publish_lock = SPINLOCK_INITIAL;
static uint32_t main_index; // of the last publish to all CPUs

// Compiled code of each index, NULL where the interpreter runs. Written only
// while the index is quiescent; W1 and R2 order it like the version's storage.
static code_function compiled[HOOK_VERSIONS];
_Static_assert((int)CODE_SLOTS == (int)HOOK_VERSIONS, "code pages for each index");

static uint64_t slot_word(uint32_t index, uint32_t version, bool canary)
{
	return (uint64_t)version << 32 | (canary ? SLOT_CANARY : 0) | index;
}

void hook_init(void)
{
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		memset(&hook_cpus[cpu], 0, sizeof hook_cpus[cpu]);
	}
	main_index = 0;
}

// Tables of one CPU; called before its first packet, on CPU 0.
bool hook_init_cpu(uint32_t cpu)
{
	struct hook_cpu *self = &hook_cpus[cpu];

	return ring_init(&self->ring) && flow_init(&self->flows);
}

static uint32_t interpret(struct hook_cpu *self, uint32_t cpu, uint64_t slot, const struct abi_net_rx_context *context,
			  const uint8_t *packet, uint32_t bytes)
{
	const uint64_t arguments[6] = {cpu, SLOT_INDEX(slot), (uintptr_t)context, (uintptr_t)packet, bytes, 0};
	uint64_t result = 0;

	if (guard_call(svc_net_rx, arguments, &result, SERVICE_NET_RX) != 0) {
		uint32_t left = __atomic_load_n(&self->interpreted, __ATOMIC_RELAXED);
		if (left != 0) {
			__atomic_store_n(&self->interpreted, left - 1, __ATOMIC_RELAXED);
		}
		return ABI_NET_RX_ABORTED;
	}
	return (uint32_t)result;
}

// Compiled code may run on this CPU once it has synchronized with it; versions
// are never given twice, so one comparison tells.
static bool runs_compiled(struct hook_cpu *self, uint64_t slot)
{
	if (__atomic_load_n(&self->synchronized, __ATOMIC_RELAXED) == slot) {
		return true;
	}
	if (load_acquire(&self->interpreted) != 0) {
		return false;
	}
	code_synchronize();
	__atomic_store_n(&self->synchronized, slot, __ATOMIC_RELAXED);
	return true;
}

void hook_interpret(uint32_t cpu, uint32_t panics)
{
	__atomic_store_n(&hook_cpus[cpu].interpreted, panics, __ATOMIC_RELEASE);
	__atomic_store_n(&hook_cpus[cpu].synchronized, UINT64_MAX, __ATOMIC_RELEASE); // no slot word
}

// Whatever goes wrong inside, the built-in default decides.
static uint32_t ask_program(struct hook_cpu *self, uint32_t cpu, uint64_t slot,
			    const struct abi_net_rx_context *context, const uint8_t *packet, uint32_t bytes,
			    uint8_t *flags)
{
	code_function code = compiled[SLOT_INDEX(slot)];
	uint32_t action;

	*flags = (slot & SLOT_CANARY) ? ABI_EVENT_CANARY : 0;
	if (code != 0 && runs_compiled(self, slot)) {
		action = (uint32_t)code_call(context, packet, bytes, code);
	} else {
		action = interpret(self, cpu, slot, context, packet, bytes);
	}
	if (action == ABI_NET_RX_DROP || action == ABI_NET_RX_PASS || action == ABI_NET_RX_REDIRECT) {
		*flags |= ABI_EVENT_PROGRAM_RAN;
		return action;
	}
	// SVC_NET_RX_ERROR, ABORTED, TX (reserved), or out of the action's range;
	// or a fault of compiled code, which is reported here.
	if (code != 0) {
		code_contain();
	}
	*flags |= ABI_EVENT_ERROR;
	return ABI_NET_RX_PASS;
}

// One of HOOK_AUDIT_INTERVAL dropped packets is delivered all the same: the
// first, so that a new version that drops wanted traffic shows at once, and
// then by count, so that a run repeats exactly.
static bool audit_this_drop(struct hook_cpu *self, uint32_t version)
{
	if (self->audit_version != version) {
		self->audit_version = version;
		self->drops = 0;
	}
	return self->drops++ % HOOK_AUDIT_INTERVAL == 0;
}

uint32_t hook_net_rx(struct abi_net_rx_context *context, const uint8_t *packet, uint32_t bytes,
		     struct hook_decision *decision)
{
	uint32_t cpu = cpu_id();
	struct hook_cpu *self = &hook_cpus[cpu];
	uint64_t entry, slot;

	decision->start_insn = arch_instructions();
	decision->sequence = self->stats.offered++;
	decision->flags = 0;
	decision->time_ns = arch_now_ns();
	flow_touch(&self->flows, packet, bytes, decision, context);

	entry = __atomic_load_n(&self->entered, __ATOMIC_RELAXED) + 1;
	__atomic_store_n(&self->entered, entry, __ATOMIC_SEQ_CST); // R1
	slot = __atomic_load_n(&self->current, __ATOMIC_SEQ_CST);  // R2
	decision->slot_version = SLOT_VERSION(slot);
	decision->action = ABI_NET_RX_PASS;
	if (SLOT_INDEX(slot) != 0) { // R3
		decision->action = ask_program(self, cpu, slot, context, packet, bytes, &decision->flags);
	}
	store_release(&self->left, entry); // R4

	decision->deliver = decision->action == ABI_NET_RX_PASS;
	if (decision->action == ABI_NET_RX_DROP && audit_this_drop(self, decision->slot_version)) {
		decision->flags |= ABI_EVENT_AUDITED;
		decision->deliver = true;
	}
	return decision->action;
}

static void count_outcome(struct abi_net_rx_stats *stats, uint8_t outcome)
{
	switch (outcome) {
	case ABI_OUTCOME_DELIVERED:
		stats->delivered++;
		break;
	case ABI_OUTCOME_NO_CONSUMER:
		stats->no_consumer++;
		break;
	case ABI_OUTCOME_MALFORMED:
		stats->malformed++;
		break;
	case ABI_OUTCOME_UNKNOWN:
		stats->dropped++;
		break;
	default: // steered: pending until the other CPU ends it
		break;
	}
}

void hook_net_rx_done(const struct abi_net_rx_context *context, const uint8_t *packet, uint32_t bytes,
		      const struct hook_decision *decision, uint8_t outcome)
{
	uint32_t cpu = cpu_id();
	struct hook_cpu *self = &hook_cpus[cpu];
	struct abi_net_rx_stats *stats = &self->stats;
	uint32_t cost;

	// Packets end in the order they came, each once. A sequence that has
	// already ended was handled twice; one that is skipped stays visible
	// as offered > ended.
	if (decision->sequence < self->ended) {
		stats->swaps_duplicated++;
	} else {
		self->ended = decision->sequence + 1;
	}
	count_outcome(stats, outcome);
	if (decision->flags & ABI_EVENT_ERROR) {
		stats->errors++;
	}
	if (decision->flags & ABI_EVENT_AUDITED) {
		stats->audited++;
		stats->audited_wanted += outcome == ABI_OUTCOME_DELIVERED;
	}
	cost = (uint32_t)(arch_instructions() - decision->start_insn);
	stats->cost_insn += cost;
	ring_write(&self->ring, cpu, context, packet, bytes, decision, outcome, cost);
}

void hook_net_rx_steered_done(uint8_t outcome, uint64_t cost_insn)
{
	struct abi_net_rx_stats *stats = &hook_cpus[cpu_id()].stats;

	count_outcome(stats, outcome);
	stats->cost_insn += cost_insn;
}

// W1 and W2 for one CPU.
static void publish_to(struct hook_cpu *cpu, uint64_t slot)
{
	uint32_t old = SLOT_INDEX(__atomic_load_n(&cpu->current, __ATOMIC_RELAXED));

	__atomic_store_n(&cpu->current, slot, __ATOMIC_SEQ_CST);
	cpu->retired[old] = __atomic_load_n(&cpu->entered, __ATOMIC_SEQ_CST);
}

void hook_publish(uint32_t hook, uint32_t version_index, uint32_t version, uint32_t cpu_mask)
{
	uint32_t all = (1u << cpu_count()) - 1;
	uint64_t state;
	bool canary;

	if (hook != ABI_HOOK_NET_RX || version_index >= HOOK_VERSIONS) {
		log_line("hook: refused to publish hook %u index %u", hook, version_index);
		return; // a mistake of a service must not end the kernel
	}
	state = spin_lock_irqsave(&publish_lock);
	cpu_mask &= all;
	if (cpu_mask == all) {
		main_index = version_index;
	}
	canary = version_index != main_index;
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		if (cpu_mask & (1u << cpu)) {
			publish_to(&hook_cpus[cpu], slot_word(version_index, version_index ? version : 0, canary));
		}
	}
	spin_unlock_irqrestore(&publish_lock, state);
}

bool hook_quiescent(uint32_t hook, uint32_t version_index)
{
	bool quiescent = true;
	uint64_t state;

	if (hook != ABI_HOOK_NET_RX || version_index >= HOOK_VERSIONS || version_index == 0) {
		return false; // the built-in default is never retired
	}
	state = spin_lock_irqsave(&publish_lock);
	for (uint32_t i = 0; i < ABI_CPU_MAX; i++) {
		struct hook_cpu *cpu = &hook_cpus[i];

		if (SLOT_INDEX(cpu->current) == version_index ||
		    load_acquire(&cpu->left) < cpu->retired[version_index]) {
			quiescent = false;
		}
	}
	spin_unlock_irqrestore(&publish_lock, state);
	return quiescent;
}

bool hook_load_code(uint32_t hook, uint32_t version_index, const uint8_t *bytes, uint32_t count)
{
	if (!hook_quiescent(hook, version_index)) {
		return false;
	}
	compiled[version_index] = 0;
	if (count == 0) {
		code_drop(version_index);
		return true;
	}
	compiled[version_index] = code_load(version_index, bytes, count);
	return compiled[version_index] != 0;
}

uint32_t hook_current(uint32_t cpu, uint32_t *version)
{
	uint64_t slot = load_acquire(&hook_cpus[cpu].current);

	*version = SLOT_VERSION(slot);
	return SLOT_INDEX(slot);
}

// Counters are plain 64-bit words with one writer each; a reader on another
// CPU sees each word whole, and words of one packet perhaps apart.
static void add_stats(uint32_t cpu, struct abi_net_rx_stats *sum)
{
	const struct hook_cpu *self = &hook_cpus[cpu];
	const struct abi_net_rx_stats *one = &self->stats;
	uint64_t slot = load_acquire(&self->current);

	sum->offered += one->offered;
	sum->delivered += one->delivered;
	sum->no_consumer += one->no_consumer;
	sum->malformed += one->malformed;
	sum->dropped += one->dropped;
	sum->audited += one->audited;
	sum->audited_wanted += one->audited_wanted;
	sum->errors += one->errors;
	sum->cost_insn += one->cost_insn;
	sum->ring_lost += hook_ring_lost(cpu);
	sum->swaps_duplicated += one->swaps_duplicated;
	if (slot & SLOT_CANARY) {
		sum->canary_version = SLOT_VERSION(slot);
	}
}

void hook_stats(uint32_t cpu, struct abi_net_rx_stats *out)
{
	memset(out, 0, sizeof *out);
	if (cpu < ABI_CPU_MAX) {
		add_stats(cpu, out);
		hook_current(cpu, &out->slot_version);
		return;
	}
	for (uint32_t i = 0; i < ABI_CPU_MAX; i++) {
		add_stats(i, out);
	}
	hook_current(0, &out->slot_version);
}

void hook_reset_counters(void)
{
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		struct hook_cpu *self = &hook_cpus[cpu];

		memset(&self->stats, 0, sizeof self->stats);
		self->ended = 0;
		self->drops = 0;
		ring_reset(&self->ring);
		flow_reset(&self->flows);
	}
}
