// Frames in: one bounded buffer that holds the largest frame, searched by the
// parser that the host uses too. All on the console's thread.
#include "core/control/control.h"
#include "core/control/internal.h"
#include "core/job/job.h"
#include "core/lib/string.h"
#include "core/mem/page.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "core/trap/guard.h"
#include "rt/services.h"

enum {
	BUFFER_BYTES = ABI_FRAME_HEADER_BYTES + ABI_FRAME_PAYLOAD_MAX,
	BUFFER_PAGE_ORDER = 5, // 128 KiB
	OPEN_POLL_NS = 100000,
};
_Static_assert(BUFFER_BYTES <= (PAGE_BYTES << BUFFER_PAGE_ORDER), "buffer fits");

static uint8_t *buffer;
static uint32_t buffered;
static bool opened;

void control_open(void)
{
	store_release(&opened, true);
}

bool control_is_open(void)
{
	return load_acquire(&opened);
}

// Runs one service function on the control thread. False when it panicked.
static bool ask(guard_function function, const void *bytes, uint64_t count, uint64_t *answer)
{
	const uint64_t arguments[6] = {(uintptr_t)bytes, count, 0, 0, 0, 0};

	return guard_call(function, arguments, answer, SERVICE_CONTROL) == 0;
}

static void handle_frame(uint32_t frame_bytes)
{
	struct control_frame frame;
	uint64_t answer = 0;

	memcpy(&frame.header, buffer, sizeof frame.header);
	frame.payload = buffer + sizeof frame.header;
	if (!control_handle_early(&frame)) {
		job_frame_arrived();
		while (!load_acquire(&opened)) {
			thread_sleep_ns(OPEN_POLL_NS);
		}
		if (!control_handle(&frame) && !ask(svc_control, buffer, frame_bytes, &answer)) {
			control_reply_error(frame.header.sequence, ABI_ERR_PANIC, UINT32_MAX);
		}
	}
	job_frame_answered();
}

// Takes one frame, or what is not one, off the front; false when more bytes
// are needed. svc_control_scan answers the code low and the bytes high.
static bool take_front(void)
{
	uint64_t answer = 0;
	uint32_t consumed;
	int32_t code;

	if (buffered == 0) {
		return false;
	}
	if (!ask(svc_control_scan, buffer, buffered, &answer)) {
		buffered = 0; // the parser itself failed: nothing here can be trusted
		return false;
	}
	code = (int32_t)(uint32_t)answer;
	consumed = (uint32_t)(answer >> 32);
	if (code == ABI_ERR_TRUNCATED || consumed == 0 || consumed > buffered) {
		return false;
	}
	if (code == ABI_OK) {
		handle_frame(consumed);
	} else if (code == ABI_ERR_CHECKSUM) {
		struct abi_frame_header header;

		memcpy(&header, buffer, sizeof header);
		control_reply_error(header.sequence, code, UINT32_MAX);
	}
	buffered -= consumed;
	memmove(buffer, buffer + consumed, buffered);
	return true;
}

void control_receive(const uint8_t *bytes, uint32_t count)
{
	if (buffer == 0) {
		buffer = page_alloc(BUFFER_PAGE_ORDER);
	}
	if (buffer == 0) {
		return;
	}
	while (count > 0) {
		uint32_t room = BUFFER_BYTES - buffered;
		uint32_t part = count < room ? count : room;

		memcpy(buffer + buffered, bytes, part);
		buffered += part;
		bytes += part;
		count -= part;
		while (take_front()) {
		}
		if (buffered == BUFFER_BYTES) {
			buffered = 0; // full and still no frame: not this protocol
		}
	}
}
