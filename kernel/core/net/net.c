// The path of a packet: hook, default path, consumer or refusal, event.
//
// Everything a packet touches belongs to its CPU: buffers, counters, ring and
// flow table. Only a steered packet crosses, through the target's queue.
#include "core/net/net.h"

#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/mem/pool.h"
#include "core/net/internal.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"

enum {
	CONSUMER_SLOTS = 128, // open addressing over NET_CONSUMERS_MAX keys
	INTERFACES = 3, // indexed by ifindex, 0 unused
	STEER_PAGE_ORDER = 5, // 32 places of 2.1 kB in 128 KiB
	BUFFER_PAGE_ORDER = 8, // 512 packet buffers of 2 KiB per CPU
};
// Every consumer's queue full and one packet on its way still fit.
_Static_assert(NET_CONSUMERS_MAX *NET_CONSUMER_PACKETS + 1 <= (PAGE_BYTES << BUFFER_PAGE_ORDER) / ABI_PACKET_BYTES_MAX,
	       "pool");

// What a consumer took on one CPU: a bounded queue of packet buffers, the
// oldest given back when it is full. Consumers read as fast as packets come.
struct consumer_queue {
	uint8_t *buffers[NET_CONSUMER_PACKETS];
	uint64_t packets;
};

struct consumer {
	uint32_t key; // protocol << 16 | port; 0 = free
	uint32_t phase_mask;
	struct consumer_queue queues[ABI_CPU_MAX];
};

struct steered {
	struct source_tag tag;
	uint32_t bytes;
	uint8_t ifindex;
	bool tagged;
	uint8_t flags;
	uint8_t frame[ABI_PACKET_BYTES_MAX];
};
_Static_assert(NET_STEER_PACKETS * sizeof(struct steered) <= (PAGE_BYTES << STEER_PAGE_ORDER), "queue fits");

struct source {
	net_poll_function poll;
	void *argument;
};

struct net_cpu {
	_Alignas(64) uint64_t path_insn;
	uint64_t packets;
	uint64_t wake_at_ns; // 0 = no source waits for a time
	uint64_t oversize;
	struct source sources[NET_SOURCES_MAX];
	uint32_t source_count;
	struct event work;
	struct pool buffers;
	// Steered here by other CPUs.
	struct spinlock steer_lock;
	struct steered *steer;
	uint64_t steer_head, steer_tail;
	bool resting; // the thread is about to sleep, or asleep
	uint8_t reply[ABI_PACKET_BYTES_MAX];
};

static struct net_cpu net_cpus[ABI_CPU_MAX];
static struct consumer consumers[CONSUMER_SLOTS];
static uint32_t current_phase;
static bool bypass;
static net_transmit_function transmit[INTERFACES];
static net_account_function account;

static uint32_t consumer_slot(uint32_t key)
{
	return (key * 0x9e3779b1u) >> 25;
}
_Static_assert(CONSUMER_SLOTS == 128, "consumer_slot keeps 7 bits");

static struct consumer *find_consumer(uint32_t protocol, uint32_t port)
{
	uint32_t key = protocol << 16 | port;
	uint32_t slot = consumer_slot(key);

	for (uint32_t probe = 0; probe < CONSUMER_SLOTS; probe++) {
		struct consumer *consumer = &consumers[(slot + probe) % CONSUMER_SLOTS];

		if (consumer->key == key) {
			return consumer->phase_mask >> current_phase & 1 ? consumer : 0;
		}
		if (consumer->key == 0) {
			return 0;
		}
	}
	return 0;
}

static void add_consumer(const struct abi_listen *listen)
{
	uint32_t port = listen->protocol == NET_PROTOCOL_ICMP ? 0 : listen->port;
	uint32_t key = (uint32_t)listen->protocol << 16 | port;
	uint32_t slot = consumer_slot(key);

	while (consumers[slot].key != 0 && consumers[slot].key != key) {
		slot = (slot + 1) % CONSUMER_SLOTS;
	}
	consumers[slot].key = key;
	consumers[slot].phase_mask |= listen->phase_mask;
}

int net_listen(const struct abi_listen *listens, uint32_t count)
{
	if (count > NET_CONSUMERS_MAX) {
		return ABI_ERR_TOO_LARGE;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (listens[i].protocol == 0) {
			return ABI_ERR_BAD_VALUE;
		}
		add_consumer(&listens[i]);
	}
	return ABI_OK;
}

void net_set_phase(uint32_t phase)
{
	__atomic_store_n(&current_phase, phase % 32, __ATOMIC_RELEASE);
}

// The consumer takes the buffer and reads it: what it got is what the digest
// says.
static void deliver(struct net_cpu *self, struct consumer *consumer, uint32_t cpu, uint8_t *buffer,
		    const struct net_parsed *parsed, struct net_result *result)
{
	struct consumer_queue *queue = &consumer->queues[cpu];
	uint8_t **place = &queue->buffers[queue->packets % NET_CONSUMER_PACKETS];

	if (*place != 0) {
		pool_give(&self->buffers, *place);
	}
	*place = buffer;
	queue->packets++;
	result->digest = net_digest(buffer + parsed->payload_offset, parsed->payload_bytes);
	result->delivered_bytes = parsed->payload_bytes;
}

static void send_reply(unsigned ifindex, const uint8_t *reply, uint32_t bytes)
{
	if (bytes != 0 && ifindex < INTERFACES && transmit[ifindex] != 0) {
		transmit[ifindex](reply, bytes);
	}
}

// Parses, verifies and finds who wants the packet; who takes it keeps the
// buffer, else it is answered in the way the standards ask for.
static uint8_t handle(struct net_cpu *self, uint32_t cpu, unsigned ifindex, uint8_t *buffer, uint32_t bytes,
		      struct net_result *result)
{
	struct net_parsed parsed;
	struct consumer *consumer;
	uint8_t outcome = net_parse(buffer, bytes, &parsed);

	if (outcome != ABI_OUTCOME_UNKNOWN) {
		return outcome; // no answer: what is wrong may be the address
	}
	if (parsed.protocol == NET_PROTOCOL_ICMP && parsed.icmp_type != NET_ICMP_ECHO_REQUEST) {
		return ABI_OUTCOME_NO_CONSUMER;
	}
	consumer = find_consumer(parsed.protocol, parsed.destination_port);
	if (consumer == 0) {
		send_reply(ifindex, self->reply, net_reply_refusal(buffer, &parsed, self->reply));
		return ABI_OUTCOME_NO_CONSUMER;
	}
	deliver(self, consumer, cpu, buffer, &parsed, result);
	if (parsed.protocol == NET_PROTOCOL_ICMP) {
		send_reply(ifindex, self->reply, net_reply_echo(buffer, &parsed, self->reply));
	}
	return ABI_OUTCOME_DELIVERED;
}

// What the kernel does by itself. The frame lies in memory that the device (or
// the program that judges it) owns and gets back, so it is first copied into a
// buffer of our own; a consumer keeps that, and nothing after the hook can be
// changed from outside.
static uint8_t default_path(struct net_cpu *self, uint32_t cpu, unsigned ifindex, const uint8_t *frame, uint32_t bytes,
			    struct net_result *result)
{
	uint8_t *buffer = pool_take(&self->buffers);
	uint8_t outcome;

	if (buffer == 0) {
		panic("net: packet buffers of CPU %u leak", cpu);
	}
	memcpy(buffer, frame, bytes);
	outcome = handle(self, cpu, ifindex, buffer, bytes, result);
	if (outcome != ABI_OUTCOME_DELIVERED) {
		pool_give(&self->buffers, buffer);
	}
	return outcome;
}

// The CPU a steered packet belongs to: by source address, so that packets of
// one flow stay in order. The context carries no target; the program says
// only that the packet may move.
static uint32_t steer_target(const uint8_t *frame, uint32_t bytes)
{
	uint32_t address = 0;

	if (bytes >= NET_ETHERNET_BYTES + NET_IP_BYTES_MIN) {
		__builtin_memcpy(&address, frame + NET_ETHERNET_BYTES + 12, sizeof address);
	}
	// The top bits of the product, scaled: all address bytes reach them.
	return (uint32_t)((uint64_t)(address * 0x9e3779b1u) * cpu_count() >> 32);
}

static bool steer_full(const struct net_cpu *to)
{
	return load_acquire(&to->steer_head) - load_acquire(&to->steer_tail) >= NET_STEER_PACKETS;
}

// Puts the packet into the target's queue. Producers share steer_lock; the
// target alone moves the tail, with a store-release after it is done with the
// place, and sees whole packets because head is stored with release. A full
// queue is noticed before the lock is taken: that is where many CPUs would meet.
static bool steer_put(struct net_cpu *to, unsigned ifindex, const uint8_t *frame, uint32_t bytes,
		      const struct source_tag *tag, uint8_t flags)
{
	struct steered *place;
	uint64_t state;
	bool room;

	if (steer_full(to)) {
		return false;
	}
	state = spin_lock_irqsave(&to->steer_lock);
	room = !steer_full(to);
	if (room) {
		place = &to->steer[to->steer_head % NET_STEER_PACKETS];
		place->tagged = tag != 0;
		if (tag != 0) {
			place->tag = *tag;
		}
		place->ifindex = (uint8_t)ifindex;
		place->bytes = bytes;
		place->flags = flags;
		memcpy(place->frame, frame, bytes);
		__atomic_store_n(&to->steer_head, to->steer_head + 1, __ATOMIC_SEQ_CST);
	}
	spin_unlock_irqrestore(&to->steer_lock, state);
	return room;
}

// False when the target is this CPU or its queue is full: then the packet is
// handled here, because a bounded queue must not become a loss.
static bool steer(uint32_t cpu, unsigned ifindex, const uint8_t *frame, uint32_t bytes, const struct source_tag *tag,
		  uint8_t flags)
{
	uint32_t target = steer_target(frame, bytes);
	struct net_cpu *to = &net_cpus[target];

	if (target == cpu || to->steer == 0 || !steer_put(to, ifindex, frame, bytes, tag, flags)) {
		return false;
	}
	// Against the thread's resting = true, then head: one of the two sees
	// the other (both sequentially consistent), so no packet waits unseen.
	if (__atomic_load_n(&to->resting, __ATOMIC_SEQ_CST)) {
		net_rx_wake(target);
	}
	return true;
}

static void finish(const struct source_tag *tag, const struct net_result *result)
{
	if (tag != 0 && account != 0) {
		account(tag, result);
	}
}

// Ends one packet that another CPU judged and sent here; no hook runs twice.
bool net_take_steered(uint32_t cpu)
{
	struct net_cpu *self = &net_cpus[cpu];
	struct net_result result = {.action = ABI_NET_RX_REDIRECT};
	struct steered *place;
	uint64_t start, cost;

	if (self->steer == 0 || load_acquire(&self->steer_head) == self->steer_tail) {
		return false;
	}
	start = arch_instructions();
	place = &self->steer[self->steer_tail % NET_STEER_PACKETS];
	result.flags = place->flags;
	result.outcome = default_path(self, cpu, place->ifindex, place->frame, place->bytes, &result);
	cost = arch_instructions() - start;
	hook_net_rx_steered_done(result.outcome, cost);
	self->path_insn += cost;
	finish(place->tagged ? &place->tag : 0, &result);
	store_release(&self->steer_tail, self->steer_tail + 1);
	return true;
}

static void judge(struct net_cpu *self, uint32_t cpu, unsigned ifindex, const uint8_t *frame, uint32_t bytes,
		  const struct source_tag *tag, struct net_result *result)
{
	struct abi_net_rx_context context = {
		.data_end = bytes,
		.ingress_ifindex = ifindex,
		.rx_queue_index = cpu,
	};
	struct hook_decision decision;

	result->action = (uint8_t)hook_net_rx(&context, frame, bytes, &decision);
	result->flags = decision.flags;
	if (decision.action == ABI_NET_RX_REDIRECT) {
		if (steer(cpu, ifindex, frame, bytes, tag, decision.flags)) {
			result->outcome = ABI_OUTCOME_STEERED;
		} else {
			decision.deliver = true;
		}
	}
	if (decision.deliver) {
		result->outcome = default_path(self, cpu, ifindex, frame, bytes, result);
	}
	hook_net_rx_done(&context, frame, bytes, &decision, result->outcome);
}

void net_receive(unsigned ifindex, const uint8_t *frame, uint32_t bytes, const struct source_tag *tag)
{
	uint64_t start = arch_instructions();
	uint32_t cpu = cpu_id();
	struct net_cpu *self = &net_cpus[cpu];
	struct net_result result = {.outcome = ABI_OUTCOME_UNKNOWN};

	if (bytes > ABI_PACKET_BYTES_MAX) {
		self->oversize++; // no driver of ours has room for one
		return;
	}
	if (bypass) {
		result.action = ABI_NET_RX_PASS;
		result.outcome = default_path(self, cpu, ifindex, frame, bytes, &result);
	} else {
		judge(self, cpu, ifindex, frame, bytes, tag, &result);
	}
	self->packets++;
	self->path_insn += arch_instructions() - start;
	if (result.outcome != ABI_OUTCOME_STEERED) {
		finish(tag, &result);
	}
}

void net_set_transmit(unsigned ifindex, net_transmit_function function)
{
	if (ifindex < INTERFACES) {
		transmit[ifindex] = function;
	}
}

void net_set_account(net_account_function function)
{
	account = function;
}

void net_set_bypass(bool on)
{
	bypass = on;
}

int net_attach_source(uint32_t cpu, net_poll_function poll, void *argument)
{
	struct net_cpu *self = &net_cpus[cpu];

	if (cpu >= ABI_CPU_MAX || self->source_count == NET_SOURCES_MAX) {
		return -1;
	}
	self->sources[self->source_count].argument = argument;
	self->sources[self->source_count].poll = poll;
	store_release(&self->source_count, self->source_count + 1);
	return 0;
}

void net_rx_wake(uint32_t cpu)
{
	event_signal(&net_cpus[cpu].work);
}

void net_rx_wake_at(uint32_t cpu, uint64_t due_ns)
{
	struct net_cpu *self = &net_cpus[cpu];

	if (self->wake_at_ns == 0 || due_ns < self->wake_at_ns) {
		self->wake_at_ns = due_ns;
	}
}

// Until a signal, or until the earliest time a source asked for.
static void wait_for_work(struct net_cpu *self)
{
	uint64_t due = self->wake_at_ns, now;

	if (due == 0) {
		event_wait(&self->work);
		return;
	}
	self->wake_at_ns = 0;
	now = arch_now_ns();
	if (due > now) {
		event_wait_timeout(&self->work, due - now);
	}
}

static void rest(struct net_cpu *self)
{
	__atomic_store_n(&self->resting, true, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&self->steer_head, __ATOMIC_SEQ_CST) == self->steer_tail) {
		wait_for_work(self);
	}
	__atomic_store_n(&self->resting, false, __ATOMIC_RELAXED);
}

static void net_rx_thread(void *argument)
{
	uint32_t cpu = (uint32_t)(uintptr_t)argument;
	struct net_cpu *self = &net_cpus[cpu];

	for (;;) {
		bool more = net_take_steered(cpu);
		uint32_t count = load_acquire(&self->source_count);

		for (uint32_t i = 0; i < count; i++) {
			more |= self->sources[i].poll(cpu, self->sources[i].argument);
		}
		if (!more) {
			rest(self);
		}
	}
}

void net_init(void)
{
	memset(consumers, 0, sizeof consumers);
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		event_init(&net_cpus[cpu].work);
	}
}

void net_start(void)
{
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		struct net_cpu *self = &net_cpus[cpu];
		void *storage = page_alloc(BUFFER_PAGE_ORDER);

		self->steer = page_alloc(STEER_PAGE_ORDER);
		if (self->steer == 0 || storage == 0 || !hook_init_cpu(cpu) ||
		    !pool_init(&self->buffers, storage, PAGE_BYTES << BUFFER_PAGE_ORDER, ABI_PACKET_BYTES_MAX)) {
			panic("net: no memory for CPU %u", cpu);
		}
	}
}

void net_start_threads(void)
{
	for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
		if (thread_create("net.rx", net_rx_thread, (void *)(uintptr_t)cpu, SCHED_PRIORITY_NET_RX, (int)cpu,
				  0) == 0) {
			panic("net: no thread for CPU %u", cpu);
		}
	}
}

static uint64_t sum_over(uint32_t cpu, uint64_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ABI_CPU_MAX; i++) {
		if (cpu == UINT32_MAX || cpu == i) {
			sum += *(const uint64_t *)((const uint8_t *)&net_cpus[i] + offset);
		}
	}
	return sum;
}

uint64_t net_path_insn(uint32_t cpu)
{
	return sum_over(cpu, __builtin_offsetof(struct net_cpu, path_insn));
}

uint64_t net_packets_done(uint32_t cpu)
{
	return sum_over(cpu, __builtin_offsetof(struct net_cpu, packets));
}

void net_reset_counters(void)
{
	for (uint32_t cpu = 0; cpu < ABI_CPU_MAX; cpu++) {
		net_cpus[cpu].path_insn = 0;
		net_cpus[cpu].packets = 0;
	}
}
