/*
 * A split virtqueue (virtio 1.2, section 2.7) over buffers of one fixed size.
 * Buffer i always belongs to descriptor i, so no free list can be corrupted
 * and a hostile used ring can at worst name a buffer that is not in flight,
 * which is refused.
 *
 * Not locked: each queue has one user at a time (console.c and net.c say who).
 */
#ifndef DRIVERS_VIRTIO_QUEUE_H
#define DRIVERS_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/virtio/mmio.h"

#define VIRTQUEUE_BUFFERS 16 /* a power of two (section 2.7) */
#define VIRTQUEUE_BUFFER_BYTES 2048

struct virtqueue_descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

struct virtqueue_available {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[VIRTQUEUE_BUFFERS];
};

struct virtqueue_used_element {
	uint32_t id;
	uint32_t bytes;
};

struct virtqueue_used {
	uint16_t flags;
	uint16_t index;
	struct virtqueue_used_element ring[VIRTQUEUE_BUFFERS];
};

struct virtqueue {
	_Alignas(16) struct virtqueue_descriptor descriptors[VIRTQUEUE_BUFFERS];
	_Alignas(64) struct virtqueue_available available; /* written by us only */
	_Alignas(64) struct virtqueue_used used;	 /* written by the device only */
	_Alignas(64) uint8_t (*buffers)[VIRTQUEUE_BUFFER_BYTES];
	struct virtio_device *device;
	uint32_t index; /* queue number of the device */
	uint32_t in_flight;  /* bit i: buffer i is the device's */
	uint16_t used_seen;  /* used entries consumed so far */
	uint32_t violations; /* used entries that named no buffer in flight, or too many bytes */
	bool device_writes;  /* receive queue */
};

/* False if the device has no such queue or it is smaller than ours. */
bool virtqueue_init(struct virtqueue *queue, struct virtio_device *device, uint32_t index, bool device_writes,
		    uint8_t (*buffers)[VIRTQUEUE_BUFFER_BYTES]);

/* A buffer that is ours, or -1. */
int virtqueue_free_buffer(const struct virtqueue *queue);

/* Hands `bytes` of buffer `buffer` to the device; virtqueue_notify tells it. */
void virtqueue_submit(struct virtqueue *queue, unsigned buffer, uint32_t bytes);
void virtqueue_notify(struct virtqueue *queue);

/*
 * Asks the device for interrupts, or not to send any: a hint (section 2.7.7).
 * After switching them on the queue must be looked at once.
 */
void virtqueue_interrupts(struct virtqueue *queue, bool wanted);

/*
 * Takes back one buffer the device has finished with: its number, and in
 * *bytes how much it wrote (at most VIRTQUEUE_BUFFER_BYTES). -1 if none. At
 * most VIRTQUEUE_BUFFERS used entries are looked at, whatever the index says.
 */
int virtqueue_take(struct virtqueue *queue, uint32_t *bytes);

#endif
