// The synthetic packet source: a seeded replay of the job's trace, inside the
// guest and on its own clock, so that runs repeat to the instruction.
//
// It is the only place that knows which packets are needed. The label goes
// into struct source_tag and comes back at the end of the path, where this
// driver compares what the consumer got with what was offered.
//
// Flow f belongs to CPU f % cpus. Each CPU draws for itself: a family by the
// phase's weights, a flow of that family uniformly, then that flow's next
// packet; a flow that ends starts again.
#ifndef DRIVERS_SYNTH_SYNTH_H
#define DRIVERS_SYNTH_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

struct synth_totals {
	uint64_t offered, completed;
	uint64_t needed_offered, needed_delivered, needed_changed;
	uint64_t junk_offered, junk_delivered;
	uint64_t signal_wanted; // packets a consumer took, whatever was decided
	uint64_t signal_known;  // packets whose outcome the kernel knows
	uint64_t signal_agrees; // of these, outcome "wanted" equals the label
	uint64_t replies, reply_bytes; // what the default path answered
};

// Indexes the trace, which stays where it is, for `cpus` CPUs. Returns an abi
// code and changes nothing unless it is ABI_OK. Once per boot.
int32_t synth_load(const uint8_t *trace, uint64_t trace_bytes, uint32_t cpus);
bool synth_loaded(void);

// Arms the source: `packet_count` packets in all, drawn by `seed` with the
// weights of `phase`. ABI_ERR_BUSY while packets are left, ABI_ERR_NOT_FOUND
// when no flow has a weight. Counters go on; synth_reset clears them and puts
// every flow at its first packet.
int32_t synth_arm(const struct abi_phase *phase, uint64_t seed, uint32_t packet_count, uint32_t interval_ns);
void synth_stop(void);
void synth_reset(void);

// The floor of a measurement: junk ends here, at no cost, because the source
// knows the answer. No program can do better.
void synth_set_floor(bool on);

// Offers the next packet of this CPU now; false when none is left.
bool synth_offer(uint32_t cpu);
uint32_t synth_remaining(uint32_t cpu);
bool synth_idle(void); // nothing left anywhere, and every packet has ended

// One trace packet by its number, in trace order (bench).
uint32_t synth_packet_count(void);
const uint8_t *synth_packet(uint32_t number, uint32_t *bytes);

// Poll function for net_attach_source: offers what is due and asks to be
// called again. Packets that fall behind are late, never bunched: between two
// there is always the interval, so a slow path cannot starve its CPU.
bool synth_poll(uint32_t cpu, void *unused);

void synth_total(struct synth_totals *out);

#endif
