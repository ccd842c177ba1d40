// The synthetic packet source: a seeded replay of the job's trace, inside the
// guest and on its own clock, so that runs repeat to the instruction.
//
// It is the only place that knows which packets are needed. The label goes
// into struct source_tag and comes back at the end of the path, where this
// file compares what the consumer got with what was offered.
#ifndef DRIVERS_SYNTH_SYNTH_H
#define DRIVERS_SYNTH_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

enum { SYNTH_FLOWS_MAX = 8192 };

struct synth_totals {
	uint64_t offered, completed;
	uint64_t needed_offered, needed_delivered, needed_changed, needed_lost;
	uint64_t junk_offered, junk_delivered;
	uint64_t signal_wanted; // packets a consumer took, whatever was decided
	uint64_t signal_agrees; // outcome known, and signal equals label
};

// Indexes the trace (kept in place) for `cpus` CPUs. Returns an abi code and
// changes nothing when it is not ABI_OK.
int32_t synth_load(const uint8_t *trace, uint64_t trace_bytes, uint32_t cpus);

// Arms the source: `packet_count` packets over all CPUs, drawn by `seed`
// with the weights of `phase`. Counters go on; synth_reset clears them.
int32_t synth_arm(const struct abi_phase *phase, uint64_t seed,
		  uint32_t packet_count, uint32_t interval_ns);
void synth_stop(void);
void synth_reset(void);

// Offers up to `budget` packets that are due on this CPU; returns how many.
uint32_t synth_offer(uint32_t cpu, uint32_t budget);
bool synth_exhausted(uint32_t cpu); // nothing left to offer on this CPU
bool synth_idle(void);              // all CPUs, and every packet has ended
uint64_t synth_next_due_ns(uint32_t cpu);

// One trace packet by its index, in trace order (bench).
uint32_t synth_packet_count(void);
const uint8_t *synth_packet(uint32_t index, uint32_t *bytes);

// Attaches the timer-driven poll to the net.rx threads (live, autonomous).
void synth_attach(void);
void synth_start_timers(void);

void synth_total(struct synth_totals *out);

#endif
