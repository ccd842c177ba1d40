/*
 * The control channel's device: one receive queue drained by a kernel thread
 * that feeds core/control, one transmit queue filled by console_write. See
 * console.h.
 *
 * Who may touch what: the receive queue belongs to the "console" thread; the
 * transmit queue to whoever holds `transmit_owner`. The interrupt handler only
 * acknowledges and signals.
 */
#include "drivers/virtio/console.h"

#include "core/control/control.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "core/trap/irq.h"
#include "drivers/virtio/queue.h"

#define QUEUE_RECEIVE 0 /* port 0's queues, section 5.3.2 */
#define QUEUE_TRANSMIT 1
#define TRANSMIT_POLL_NS 1000000ULL /* while the queue is full */
#define OWNER_POLL_NS 20000ULL      /* while another thread writes */

static uint8_t receive_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t transmit_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static struct virtqueue receive_queue;
static struct virtqueue transmit_queue;
static struct virtio_device device;
static struct event received;
static bool present;
static bool host_gone; /* the last write ran out of patience */
static bool transmit_owner;
static uint64_t dropped_bytes;

static void on_interrupt(unsigned intid, void *argument)
{
	(void)intid;
	(void)argument;
	virtio_interrupt_acknowledge(&device);
	event_signal(&received);
}

static void drain_receive_queue(void)
{
	uint32_t bytes;
	for (int buffer; (buffer = virtqueue_take(&receive_queue, &bytes)) >= 0;) {
		control_receive(receive_queue.buffers[buffer], bytes);
		virtqueue_submit(&receive_queue, (unsigned)buffer, VIRTQUEUE_BUFFER_BYTES);
		virtqueue_notify(&receive_queue);
	}
}

static void receive_thread(void *argument)
{
	(void)argument;
	for (;;) {
		drain_receive_queue();
		event_wait(&received);
	}
}

/* Takes back what the device has sent; true if a buffer is free afterwards. */
static bool reclaim(void)
{
	uint32_t ignored;
	while (virtqueue_take(&transmit_queue, &ignored) >= 0) {
	}
	return virtqueue_free_buffer(&transmit_queue) >= 0;
}

static bool wait_for_space(void)
{
	uint64_t polls = host_gone ? 0 : CONSOLE_PATIENCE_NS / TRANSMIT_POLL_NS;
	while (!reclaim()) {
		if (polls-- == 0 || host_gone) {
			host_gone = true;
			return false;
		}
		thread_sleep_ns(TRANSMIT_POLL_NS);
	}
	host_gone = false;
	return true;
}

static void transmit(const uint8_t *bytes, uint32_t count)
{
	while (count > 0) {
		if (!wait_for_space()) {
			dropped_bytes += count;
			return;
		}
		int buffer = virtqueue_free_buffer(&transmit_queue);
		uint32_t part = count < VIRTQUEUE_BUFFER_BYTES ? count : VIRTQUEUE_BUFFER_BYTES;
		memcpy(transmit_queue.buffers[buffer], bytes, part);
		virtqueue_submit(&transmit_queue, (unsigned)buffer, part);
		virtqueue_notify(&transmit_queue);
		bytes += part;
		count -= part;
	}
}

void console_write(const uint8_t *bytes, uint32_t count)
{
	if (!present)
		return;
	while (__atomic_exchange_n(&transmit_owner, true, __ATOMIC_ACQUIRE))
		thread_sleep_ns(OWNER_POLL_NS);
	transmit(bytes, count);
	__atomic_store_n(&transmit_owner, false, __ATOMIC_RELEASE);
}

void console_flush(void)
{
	if (!present)
		return;
	while (__atomic_exchange_n(&transmit_owner, true, __ATOMIC_ACQUIRE))
		thread_sleep_ns(OWNER_POLL_NS);
	for (uint64_t polls = CONSOLE_PATIENCE_NS / TRANSMIT_POLL_NS; polls > 0 && !host_gone; polls--) {
		reclaim();
		if (transmit_queue.in_flight == 0)
			break;
		thread_sleep_ns(TRANSMIT_POLL_NS);
	}
	__atomic_store_n(&transmit_owner, false, __ATOMIC_RELEASE);
}

uint64_t console_dropped_bytes(void)
{
	return __atomic_load_n(&dropped_bytes, __ATOMIC_RELAXED);
}

int console_init(void)
{
	uint64_t features;
	if (!virtio_find(&device, VIRTIO_DEVICE_CONSOLE))
		return -1;
	if (!virtio_negotiate(&device, 0, &features) ||
	    !virtqueue_init(&receive_queue, &device, QUEUE_RECEIVE, true, receive_buffers) ||
	    !virtqueue_init(&transmit_queue, &device, QUEUE_TRANSMIT, false, transmit_buffers)) {
		log_line("console: the device refused virtio 1.0 or queues of %u buffers", VIRTQUEUE_BUFFERS);
		return -1;
	}
	event_init(&received);
	irq_register(device.intid, on_interrupt, 0);
	virtio_driver_ok(&device);
	for (unsigned i = 0; i < VIRTQUEUE_BUFFERS; i++)
		virtqueue_submit(&receive_queue, i, VIRTQUEUE_BUFFER_BYTES);
	virtqueue_notify(&receive_queue);
	present = true;
	thread_create("console", receive_thread, 0, SCHED_PRIORITY_CONTROL, 0, 0);
	return 0;
}
