/*
 * virtio-console (virtio 1.2, section 5.3): the byte stream that carries the
 * control channel's frames, on port 1, or on port 0 of a device that has no more.
 */
#ifndef DRIVERS_VIRTIO_CONSOLE_H
#define DRIVERS_VIRTIO_CONSOLE_H

#include <stdint.h>

/* 0, or -1 if the machine has no console device; the kernel runs on without. */
int console_init(void);

/*
 * Queues all bytes, in order and not mixed with another caller's; may sleep,
 * so it is for threads only and never called with a spinlock held. If the
 * host stops reading, bytes are dropped after CONSOLE_PATIENCE_NS and
 * counted: the kernel outlives a host that went away.
 */
void console_write(const uint8_t *bytes, uint32_t count);

/*
 * Virtual time. Long, because under icount with sleep=off idle time passes at
 * once and only the number of sleeps gives the host a chance to read.
 */
#define CONSOLE_PATIENCE_NS 20000000000ULL

/* Waits, with the same patience, until the device has sent everything. */
void console_flush(void);

uint64_t console_dropped_bytes(void);

#endif
