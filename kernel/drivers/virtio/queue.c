/*
 * Split virtqueues. See queue.h.
 *
 * Ordering (virtio 1.2, sections 2.7.13 and 2.7.14): the descriptor and the
 * ring entry must be visible before the available index moves (store-release),
 * the index before the notification (full barrier: a store then a device
 * store), and the used index is read before the entry it covers (load-acquire).
 * Queue memory is normal cacheable and QEMU is coherent with it.
 */
#include "drivers/virtio/queue.h"

#include "core/mem/page.h"
#include "core/sync/spinlock.h"
#include "drivers/virtio/registers.h"

#define DESCRIPTOR_DEVICE_WRITES 2 /* VIRTQ_DESC_F_WRITE */

static void write_address(struct virtio_device *device, uint32_t offset, const void *pointer)
{
	uint64_t physical = virt_to_phys(pointer);
	virtio_write32(device, offset, (uint32_t)physical);
	virtio_write32(device, offset + 4, (uint32_t)(physical >> 32));
}

bool virtqueue_init(struct virtqueue *queue, struct virtio_device *device, uint32_t index, bool device_writes,
		    uint8_t (*buffers)[VIRTQUEUE_BUFFER_BYTES])
{
	virtio_write32(device, VIRTIO_QUEUE_SELECT, index);
	if (virtio_read32(device, VIRTIO_QUEUE_READY) != 0 ||
	    virtio_read32(device, VIRTIO_QUEUE_NUMBER_MAX) < VIRTQUEUE_BUFFERS)
		return false;
	queue->device = device;
	queue->index = index;
	queue->device_writes = device_writes;
	queue->buffers = buffers;
	for (unsigned i = 0; i < VIRTQUEUE_BUFFERS; i++) {
		queue->descriptors[i].address = virt_to_phys(buffers[i]);
		queue->descriptors[i].flags = device_writes ? DESCRIPTOR_DEVICE_WRITES : 0;
	}
	virtio_write32(device, VIRTIO_QUEUE_NUMBER, VIRTQUEUE_BUFFERS);
	write_address(device, VIRTIO_QUEUE_DESCRIPTORS, queue->descriptors);
	write_address(device, VIRTIO_QUEUE_AVAILABLE, &queue->available);
	write_address(device, VIRTIO_QUEUE_USED, &queue->used);
	virtio_write32(device, VIRTIO_QUEUE_READY, 1);
	return true;
}

int virtqueue_free_buffer(const struct virtqueue *queue)
{
	uint32_t ours = ~queue->in_flight & ((1U << VIRTQUEUE_BUFFERS) - 1);
	return ours ? __builtin_ctz(ours) : -1;
}

void virtqueue_submit(struct virtqueue *queue, unsigned buffer, uint32_t bytes)
{
	uint16_t index = queue->available.index;
	queue->descriptors[buffer].bytes = bytes;
	queue->available.ring[index % VIRTQUEUE_BUFFERS] = (uint16_t)buffer;
	queue->in_flight |= 1U << buffer;
	__atomic_store_n(&queue->available.index, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

void virtqueue_notify(struct virtqueue *queue)
{
	smp_mb();
	virtio_write32(queue->device, VIRTIO_QUEUE_NOTIFY, queue->index);
}

void virtqueue_interrupts(struct virtqueue *queue, bool wanted)
{
	enum { NO_INTERRUPT = 1 };
	__atomic_store_n(&queue->available.flags, wanted ? 0 : NO_INTERRUPT, __ATOMIC_RELAXED);
	smp_mb();
}

int virtqueue_take(struct virtqueue *queue, uint32_t *bytes)
{
	for (unsigned looked = 0; looked < VIRTQUEUE_BUFFERS; looked++) {
		uint16_t index = __atomic_load_n(&queue->used.index, __ATOMIC_ACQUIRE);
		if (index == queue->used_seen)
			return -1;
	/* Read once: the device may rewrite the entry while we look at it. */
		const volatile struct virtqueue_used_element *element =
			&queue->used.ring[queue->used_seen % VIRTQUEUE_BUFFERS];
		uint32_t id = element->id;
		uint32_t written = element->bytes;
		queue->used_seen++;
		if (id >= VIRTQUEUE_BUFFERS || !(queue->in_flight & 1U << id) || written > VIRTQUEUE_BUFFER_BYTES) {
			queue->violations++;
			continue;
		}
		queue->in_flight &= ~(1U << id);
		*bytes = queue->device_writes ? written : 0;
		return (int)id;
	}
	return -1;
}
