/*
 * The control channel's device: one receive queue drained by a kernel thread
 * that feeds core/control, one transmit queue filled by console_write. See
 * console.h.
 *
 * The channel is port 1 of a device with several ports, where the device may
 * keep a buffer until the host has read it; that is our flow control. Port 0
 * is the fallback for a device without: a console in the narrow sense, whose
 * bytes QEMU throws away when the host is slow.
 *
 * Who may touch what: the receive queues and the ports' control queues belong
 * to the "console" thread; the transmit queue to whoever holds
 * `transmit_owner`. The interrupt handler only acknowledges and signals.
 */
#include "drivers/virtio/console.h"

#include "core/control/control.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/sched/sched.h"
#include "core/trap/irq.h"
#include "drivers/virtio/queue.h"

#define FEATURE_MULTIPORT (1ULL << 1)
/* Queue numbers, section 5.3.2. */
#define QUEUE_RECEIVE_PORT0 0
#define QUEUE_CONTROL_RECEIVE 2
#define QUEUE_CONTROL_TRANSMIT 3
#define QUEUE_RECEIVE_PORT1 4
#define CHANNEL_PORT 1
#define TRANSMIT_POLL_NS 1000000ULL /* while the queue is full */
#define OWNER_POLL_NS 20000ULL      /* while another thread writes */

static uint8_t receive_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t transmit_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t port_receive_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static uint8_t port_transmit_buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES] __attribute__((aligned(64)));
static struct virtqueue receive_queue;
static struct virtqueue transmit_queue;
static struct virtqueue port_receive_queue; /* unused without several ports */
static struct virtqueue port_transmit_queue;
static struct virtio_device device;
static bool several_ports;
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

/* struct virtio_console_control and its events, section 5.3.6.2. */
struct port_message {
	uint32_t port;
	uint16_t event;
	uint16_t value;
};
enum { PORT_DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, PORT_OPEN = 6 };

/* Lost when all 16 places are in flight; three messages are ever sent. */
static void port_send(uint32_t port, uint16_t event)
{
	const struct port_message message = {.port = port, .event = event, .value = 1};
	uint32_t ignored;
	while (virtqueue_take(&port_transmit_queue, &ignored) >= 0) {
	}
	int buffer = virtqueue_free_buffer(&port_transmit_queue);
	if (buffer < 0)
		return;
	memcpy(port_transmit_queue.buffers[buffer], &message, sizeof message);
	virtqueue_submit(&port_transmit_queue, (unsigned)buffer, sizeof message);
	virtqueue_notify(&port_transmit_queue);
}

/* The device names its ports; ours is opened, so that the host may write. */
static void drain_port_messages(void)
{
	struct port_message message;
	uint32_t bytes;
	for (int buffer; several_ports && (buffer = virtqueue_take(&port_receive_queue, &bytes)) >= 0;) {
		memcpy(&message, port_receive_queue.buffers[buffer], sizeof message);
		virtqueue_submit(&port_receive_queue, (unsigned)buffer, VIRTQUEUE_BUFFER_BYTES);
		virtqueue_notify(&port_receive_queue);
		if (bytes >= sizeof message && message.port == CHANNEL_PORT && message.event == PORT_ADD) {
			port_send(CHANNEL_PORT, PORT_READY);
			port_send(CHANNEL_PORT, PORT_OPEN);
		}
	}
}

static void receive_thread(void *argument)
{
	(void)argument;
	for (;;) {
		drain_port_messages();
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

static bool init_queues(void)
{
	uint32_t receive = several_ports ? QUEUE_RECEIVE_PORT1 : QUEUE_RECEIVE_PORT0;

	if (several_ports &&
	    (!virtqueue_init(&port_receive_queue, &device, QUEUE_CONTROL_RECEIVE, true, port_receive_buffers) ||
	     !virtqueue_init(&port_transmit_queue, &device, QUEUE_CONTROL_TRANSMIT, false, port_transmit_buffers)))
		return false;
	return virtqueue_init(&receive_queue, &device, receive, true, receive_buffers) &&
	       virtqueue_init(&transmit_queue, &device, receive + 1, false, transmit_buffers);
}

static void offer_buffers(struct virtqueue *queue)
{
	for (unsigned i = 0; i < VIRTQUEUE_BUFFERS; i++)
		virtqueue_submit(queue, i, VIRTQUEUE_BUFFER_BYTES);
	virtqueue_notify(queue);
}

int console_init(void)
{
	uint64_t features;
	if (!virtio_find(&device, VIRTIO_DEVICE_CONSOLE))
		return -1;
	if (!virtio_negotiate(&device, FEATURE_MULTIPORT, &features)) {
		log_line("console: the device refused virtio 1.0");
		return -1;
	}
	several_ports = (features & FEATURE_MULTIPORT) != 0;
	if (!init_queues()) {
		log_line("console: the device refused queues of %u buffers", VIRTQUEUE_BUFFERS);
		return -1;
	}
	event_init(&received);
	irq_register(device.intid, on_interrupt, 0);
	virtio_driver_ok(&device);
	offer_buffers(&receive_queue);
	if (several_ports) {
		offer_buffers(&port_receive_queue);
		port_send(UINT32_MAX, PORT_DEVICE_READY); /* of no port in particular */
	}
	present = true;
	thread_create("console", receive_thread, 0, SCHED_PRIORITY_CONTROL, 0, 0);
	return 0;
}
