/*
 * virtio over MMIO, version 2 (virtio 1.2, section 4.2): register offsets and
 * the handshake every device goes through. Relies on the device list that
 * board/qemuvirt read from the device tree and on core/mem's mmio_map.
 *
 * The device is on the other side of a trust boundary: nothing it writes (used
 * ring, lengths, configuration) is believed without a bound check.
 */
#ifndef DRIVERS_VIRTIO_MMIO_H
#define DRIVERS_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stdint.h>

/* Device types, virtio 1.2 section 5. */
#define VIRTIO_DEVICE_NET 1
#define VIRTIO_DEVICE_CONSOLE 3

/* Feature bit 32: without it the device would speak the legacy layout. */
#define VIRTIO_FEATURE_VERSION_1 (1ULL << 32)

struct virtio_device {
	volatile uint8_t *registers; /* one transport, 0x200 bytes */
	unsigned intid; /* GIC interrupt */
};

/* Finds the first transport that carries `type`. */
bool virtio_find(struct virtio_device *device, uint32_t type);

/*
 * Resets the device and negotiates exactly `wanted` of the offered features
 * (VIRTIO_FEATURE_VERSION_1 is added and required). False if the device does
 * not offer version 1 or refuses the set; it is then left failed.
 */
bool virtio_negotiate(struct virtio_device *device, uint64_t wanted, uint64_t *accepted);

/* Tells the device that its queues are set up: it may use them from now on. */
void virtio_driver_ok(struct virtio_device *device);

/* Acknowledges and returns the pending interrupt causes (bit 0: used ring). */
uint32_t virtio_interrupt_acknowledge(struct virtio_device *device);

uint32_t virtio_read32(const struct virtio_device *device, uint32_t offset);
void virtio_write32(struct virtio_device *device, uint32_t offset, uint32_t value);
uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset);

#endif
