/*
 * virtio-net (virtio 1.2, section 5.1), one queue pair, no offloads: live
 * traffic for the net.rx hook. It gives no figures: completions come in host
 * time. Measured traffic comes from drivers/synth.
 */
#ifndef DRIVERS_VIRTIO_NET_H
#define DRIVERS_VIRTIO_NET_H

#include <stdint.h>

/* 0, or -1 if the machine has no network device. */
int virtio_net_init(void);

/*
 * Sends one Ethernet frame of at most 2,036 bytes; from threads of CPU 0's
 * net.rx only. Dropped and counted when the queue is full, as a NIC does.
 */
void virtio_net_transmit(const uint8_t *frame, uint32_t bytes);

uint64_t virtio_net_transmit_drops(void);

#endif
