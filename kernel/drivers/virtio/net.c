/*
 * virtio-net. See net.h. Both queues belong to the net.rx thread of CPU 0,
 * which polls receive_poll: frames are received there, and replies of the
 * default path are sent from inside net_receive on the same thread.
 *
 * A host can send as fast as we receive, for ever, and net.rx precedes every
 * other thread of its CPU: without an end of its own a flood would leave no
 * time for the control channel. So after RUN_FRAMES without a pause the card
 * rests for REST_NS; what comes meanwhile waits in the device and on the wire.
 */
#include "drivers/virtio/net.h"

#include "arch/arm64/arch.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/net/net.h"
#include "core/trap/irq.h"
#include "drivers/virtio/queue.h"

#define QUEUE_RECEIVE 0
#define QUEUE_TRANSMIT 1
#define HEADER_BYTES 12 /* struct virtio_net_hdr with num_buffers, section 5.1.6 */
#define NET_CPU 0
#define RUN_FRAMES 32     /* about half a millisecond under emulation */
#define REST_NS 250000ULL /* a third of a flooded CPU is left for others */

static uint8_t receive_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t transmit_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static struct virtqueue receive_queue;
static struct virtqueue transmit_queue;
static struct virtio_device device;
static bool present;
static uint64_t transmit_drops;
static uint32_t run_frames;    /* received without a pause */
static uint64_t rest_until_ns; /* 0 = not resting */

static void on_interrupt(unsigned intid, void *argument)
{
	(void)intid;
	(void)argument;
	virtio_interrupt_acknowledge(&device);
	net_rx_wake(NET_CPU);
}

static void begin_rest(void)
{
	run_frames = 0;
	rest_until_ns = arch_now_ns() + REST_NS;
	virtqueue_interrupts(&receive_queue, false);
}

static bool resting(uint32_t cpu)
{
	if (rest_until_ns == 0)
		return false;
	if (arch_now_ns() < rest_until_ns) {
		net_rx_wake_at(cpu, rest_until_ns);
		return true;
	}
	rest_until_ns = 0;
	virtqueue_interrupts(&receive_queue, true); /* the caller looks at the queue after this */
	return false;
}

/* One frame a call, so that other sources of the thread take turns with us. */
static bool receive_poll(uint32_t cpu, void *argument)
{
	(void)argument;
	uint32_t bytes;
	if (resting(cpu))
		return false;
	int buffer = virtqueue_take(&receive_queue, &bytes);
	if (buffer < 0) {
		run_frames = 0;
		return false;
	}
	if (bytes > HEADER_BYTES)
		net_receive(NET_IFINDEX_VIRTIO, receive_queue.buffers[buffer] + HEADER_BYTES, bytes - HEADER_BYTES, 0);
	virtqueue_submit(&receive_queue, (unsigned)buffer, VIRTQUEUE_BUFFER_BYTES);
	virtqueue_notify(&receive_queue);
	if (++run_frames == RUN_FRAMES)
		begin_rest();
	return true; /* a rest begins with the next call */
}

void virtio_net_transmit(const uint8_t *frame, uint32_t bytes)
{
	uint32_t ignored;
	if (!present)
		return;
	while (virtqueue_take(&transmit_queue, &ignored) >= 0) {
	}
	int buffer = virtqueue_free_buffer(&transmit_queue);
	if (buffer < 0 || bytes > VIRTQUEUE_BUFFER_BYTES - HEADER_BYTES) {
		transmit_drops++;
		return;
	}
	memset(transmit_queue.buffers[buffer], 0, HEADER_BYTES);
	memcpy(transmit_queue.buffers[buffer] + HEADER_BYTES, frame, bytes);
	virtqueue_submit(&transmit_queue, (unsigned)buffer, HEADER_BYTES + bytes);
	virtqueue_notify(&transmit_queue);
}

uint64_t virtio_net_transmit_drops(void)
{
	return __atomic_load_n(&transmit_drops, __ATOMIC_RELAXED);
}

int virtio_net_init(void)
{
	uint64_t features;
	if (!virtio_find(&device, VIRTIO_DEVICE_NET))
		return -1;
	if (!virtio_negotiate(&device, 0, &features) ||
	    !virtqueue_init(&receive_queue, &device, QUEUE_RECEIVE, true, receive_buffers) ||
	    !virtqueue_init(&transmit_queue, &device, QUEUE_TRANSMIT, false, transmit_buffers)) {
		log_line("virtio-net: the device refused virtio 1.0 or queues of %u buffers", VIRTQUEUE_BUFFERS);
		return -1;
	}
	irq_register(device.intid, on_interrupt, 0);
	virtio_driver_ok(&device);
	for (unsigned i = 0; i < VIRTQUEUE_BUFFERS; i++)
		virtqueue_submit(&receive_queue, i, VIRTQUEUE_BUFFER_BYTES);
	virtqueue_notify(&receive_queue);
	present = true;
	net_set_transmit(NET_IFINDEX_VIRTIO, virtio_net_transmit);
	net_attach_source(NET_CPU, receive_poll, 0);
	return 0;
}
