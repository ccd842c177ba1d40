// The control channel: frames in, frames out (kernel/abi/frame.go).
//
// In: the console driver's thread brings bytes in any pieces; receive.c
// collects them in one bounded buffer, svc_control_scan (Go) finds and checks
// whole frames. C answers what concerns machinery (ping, stats, traffic,
// plants, trace, power off: requests.c, plant.c); every other frame goes to
// svc_control, in a guard.
// Out: whole frames are queued (send.c) and written by a thread of their own,
// so that no service waits for the host while it holds a CPU.
#ifndef CORE_CONTROL_CONTROL_H
#define CORE_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

// Queue and thread. May be called more than once.
void control_start(void);

// The job's services have begun: frames for them wait until then. Ping, stats
// and power off are answered at once.
void control_open(void);

// Byte stream in, on the console's thread.
void control_receive(const uint8_t *bytes, uint32_t count);

// One whole frame out, from any thread. Waits for room when interrupts are on;
// with interrupts off, or when the host stopped reading, the frame is dropped
// and counted.
void control_send(const uint8_t *bytes, uint32_t count);

// Builds the header and sends one message.
void control_send_message(uint16_t type, uint32_t sequence, const void *payload, uint32_t payload_bytes);

// Waits until the host has taken everything, or ran out of patience.
void control_flush(void);

uint64_t control_dropped_frames(void);

// Contained panics that were followed by a reset of the service.
uint64_t control_resets(void);

#endif
