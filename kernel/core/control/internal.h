// Shared by the files of core/control only.
#ifndef CORE_CONTROL_INTERNAL_H
#define CORE_CONTROL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/gen/abi.h"

// A checked frame: header copied, payload in place.
struct control_frame {
	struct abi_frame_header header;
	const uint8_t *payload;
};

// Answers what needs neither job nor services: ping, stats, power off.
bool control_handle_early(const struct control_frame *frame);
// Answers a frame that C handles; false when it is for the services.
bool control_handle(const struct control_frame *frame);
// The services have begun.
bool control_is_open(void);

void control_reply_install(uint32_t sequence, int32_t code, const uint64_t values[4]);
void control_reply_error(uint32_t sequence, int32_t code, uint32_t offset);

void plant_handle(const struct control_frame *frame);

#endif
