// The control channel: frames in, frames out (kernel/abi/frame.go).
//
// Bytes arrive from the console driver in any pieces and are collected in one
// bounded buffer; svc_control_scan (Go) finds and checks whole frames. C
// answers what concerns machinery (Plant, Traffic, Trace, Stats, PowerOff);
// every other type goes to svc_control, in a guard.
#ifndef CORE_CONTROL_CONTROL_H
#define CORE_CONTROL_CONTROL_H

#include <stdint.h>

#include "abi/gen/abi.h"

void control_start(void);

// Byte stream in, from the console's thread.
void control_receive(const uint8_t *bytes, uint32_t count);

// Whole frames out, from any thread (rt_send_frame ends here too).
void control_send(const uint8_t *bytes, uint32_t count);

// Builds the header and sends one message.
void control_send_message(uint16_t type, uint32_t sequence, const void *payload,
			  uint32_t payload_bytes);

#endif
