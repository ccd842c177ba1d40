/*
 * The virtio-mmio handshake (virtio 1.2, sections 3.1.1 and 4.2.3). See mmio.h.
 */
#include "drivers/virtio/mmio.h"

#include "board/qemuvirt/board.h"
#include "core/mem/page.h"
#include "drivers/virtio/registers.h"

#define TRANSPORT_BYTES 0x200

uint32_t virtio_read32(const struct virtio_device *device, uint32_t offset)
{
	return *(const volatile uint32_t *)(device->registers + offset);
}

void virtio_write32(struct virtio_device *device, uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(device->registers + offset) = value;
}

uint8_t virtio_config8(const struct virtio_device *device, uint32_t offset)
{
	return device->registers[VIRTIO_CONFIG + offset];
}

bool virtio_find(struct virtio_device *device, uint32_t type)
{
	for (unsigned i = 0; i < board.virtio_count; i++) {
		device->registers = mmio_map(board.virtio[i].physical, TRANSPORT_BYTES);
		device->intid = board.virtio[i].intid;
		if (device->registers == 0 || virtio_read32(device, VIRTIO_MAGIC) != VIRTIO_MAGIC_VALUE)
			continue;
		if (virtio_read32(device, VIRTIO_DEVICE_ID) == type &&
		    virtio_read32(device, VIRTIO_VERSION) == VIRTIO_VERSION_MODERN)
			return true;
	}
	device->registers = 0;
	return false;
}

static void add_status(struct virtio_device *device, uint32_t bit)
{
	virtio_write32(device, VIRTIO_STATUS, virtio_read32(device, VIRTIO_STATUS) | bit);
}

static uint64_t offered_features(struct virtio_device *device)
{
	virtio_write32(device, VIRTIO_DEVICE_FEATURES_SELECT, 0);
	uint64_t low = virtio_read32(device, VIRTIO_DEVICE_FEATURES);
	virtio_write32(device, VIRTIO_DEVICE_FEATURES_SELECT, 1);
	return low | (uint64_t)virtio_read32(device, VIRTIO_DEVICE_FEATURES) << 32;
}

bool virtio_negotiate(struct virtio_device *device, uint64_t wanted, uint64_t *accepted)
{
	virtio_write32(device, VIRTIO_STATUS, 0); /* reset */
	add_status(device, VIRTIO_STATUS_ACKNOWLEDGE);
	add_status(device, VIRTIO_STATUS_DRIVER);

	uint64_t features = offered_features(device) & (wanted | VIRTIO_FEATURE_VERSION_1);
	if (!(features & VIRTIO_FEATURE_VERSION_1)) {
		add_status(device, VIRTIO_STATUS_FAILED);
		return false;
	}
	virtio_write32(device, VIRTIO_DRIVER_FEATURES_SELECT, 0);
	virtio_write32(device, VIRTIO_DRIVER_FEATURES, (uint32_t)features);
	virtio_write32(device, VIRTIO_DRIVER_FEATURES_SELECT, 1);
	virtio_write32(device, VIRTIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	add_status(device, VIRTIO_STATUS_FEATURES_OK);

	/* Section 3.1.1 step 6: the device may still refuse by clearing the bit. */
	if (!(virtio_read32(device, VIRTIO_STATUS) & VIRTIO_STATUS_FEATURES_OK)) {
		add_status(device, VIRTIO_STATUS_FAILED);
		return false;
	}
	*accepted = features;
	return true;
}

void virtio_driver_ok(struct virtio_device *device)
{
	add_status(device, VIRTIO_STATUS_DRIVER_OK);
}

uint32_t virtio_interrupt_acknowledge(struct virtio_device *device)
{
	uint32_t causes = virtio_read32(device, VIRTIO_INTERRUPT_STATUS);
	virtio_write32(device, VIRTIO_INTERRUPT_ACKNOWLEDGE, causes);
	return causes;
}
