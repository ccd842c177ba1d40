// Hooks: the places where a verified program may decide, with a built-in
// default behind every slot.
//
// One hook exists, HookNetRX. Its slot table names up to HOOK_VERSIONS
// versions; index 0 is the built-in default and is always there. Each CPU has
// a current index, an epoch, an event ring, counters and a flow table of its
// own, so the packet path takes no lock and shares no cache line.
//
// Relies on: one thread per CPU at a time calls the packet functions (the
// net.rx thread of that CPU); guard_call contains a panicking program.
#ifndef CORE_HOOK_HOOK_H
#define CORE_HOOK_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

enum {
	HOOK_VERSIONS = 4,	   // slot indices; 0 = built-in default
	HOOK_AUDIT_INTERVAL = 64, // one of so many dropped packets is audited
	HOOK_FLOW_ENTRIES = 1024, // source addresses remembered per CPU
	HOOK_FLOW_WINDOW_PACKETS = 1024, // FlowPackets starts again after so many
};

// What the hook decided about one packet. Filled by hook_net_rx, completed by
// hook_net_rx_done.
struct hook_decision {
	uint64_t start_insn;  // counter at hook entry
	uint64_t time_ns;	  // virtual time at hook entry
	uint64_t sequence;	   // of the packet on this CPU
	uint32_t action;	 // ABI_NET_RX_*, after the default replaced an error
	uint32_t slot_version;
	uint8_t flags;	       // ABI_EVENT_*
	bool deliver;	      // run the default path: passed, or dropped and audited
};

void hook_init(void);	      // on CPU 0, before anything else here
bool hook_init_cpu(uint32_t cpu); // ring and flow table of one CPU; false = no memory

// Judges one packet on the calling CPU. Fills the flow fields of the context.
// Returns the action the path must take (an audited drop still returns drop;
// decision->deliver says that it is to be delivered all the same).
uint32_t hook_net_rx(struct abi_net_rx_context *context, const uint8_t *packet, uint32_t bytes,
		     struct hook_decision *decision);

// Ends the packet: counts the outcome and writes the event into the CPU's
// ring. Called exactly once for every hook_net_rx.
void hook_net_rx_done(const struct abi_net_rx_context *context, const uint8_t *packet, uint32_t bytes,
		      const struct hook_decision *decision, uint8_t outcome);

// A packet that another CPU judged and steered here has ended.
void hook_net_rx_steered_done(uint8_t outcome, uint64_t cost_insn);

// Puts compiled code behind an index, or with no bytes takes it away: the
// interpreter then runs. False when a CPU is inside the index or the code does
// not fit; then nothing changed.
bool hook_load_code(uint32_t hook, uint32_t version_index, const uint8_t *bytes, uint32_t count);

// Programs of this CPU go through the interpreter until it has panicked so
// often: a planted panic needs the service to be asked. A program already
// running there may miss it; its next version does not.
void hook_interpret(uint32_t cpu, uint32_t panics);

// Makes `version_index` current on every CPU of the mask. Publishing a
// version to a proper subset of the CPUs marks it canary there.
void hook_publish(uint32_t hook, uint32_t version_index, uint32_t version, uint32_t cpu_mask);

// True when no CPU runs, or can still start to run, the version: its storage
// may be written again.
bool hook_quiescent(uint32_t hook, uint32_t version_index);

// What runs on a CPU now: index and version number.
uint32_t hook_current(uint32_t cpu, uint32_t *version);

// Event rings: the pipeline thread is the only consumer.
bool hook_ring_read(uint32_t cpu, struct abi_net_rx_event *event);
uint64_t hook_ring_lost(uint32_t cpu);

// Copies of what the consumer reads, for MessageTrace; bounded, loss allowed.
void hook_trace_enable(bool on);
uint32_t hook_trace_take(struct abi_net_rx_event *events, uint32_t capacity);

// Counters of one CPU; of all CPUs when cpu = UINT32_MAX.
void hook_stats(uint32_t cpu, struct abi_net_rx_stats *out);

// Forgets events, counters and flows, so that two measurements in one guest
// begin alike. Only while no packet is under way on any CPU.
void hook_reset_counters(void);

#endif
