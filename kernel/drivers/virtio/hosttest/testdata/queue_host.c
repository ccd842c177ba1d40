/*
 * Runs queue.c on the host against a device that lies. The transport is plain
 * memory; the "device" writes the used ring at random (seed in argv[1]). Exits
 * 0 only if every buffer handed back was in flight exactly once, no length
 * exceeded a buffer, and each call ended within its bound.
 *
 * Built by queue_test.go together with queue.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "drivers/virtio/queue.h"
#include "drivers/virtio/registers.h"

static uint32_t registers[0x200 / 4];

uint32_t virtio_read32(const struct virtio_device *device, uint32_t offset)
{
    (void)device;
    return registers[offset / 4];
}

void virtio_write32(struct virtio_device *device, uint32_t offset, uint32_t value)
{
    (void)device;
    registers[offset / 4] = value;
}

uint64_t virt_to_phys(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

static uint64_t state;

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint8_t buffers[VIRTQUEUE_BUFFERS][VIRTQUEUE_BUFFER_BYTES];
static struct virtqueue queue;
static unsigned honest_returns;

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "line %d: %s (seed %s)\n", __LINE__, #condition, seed_text); \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

static void device_turn(void)
{
    for (unsigned n = next_random() % 4; n > 0; n--) {
        struct virtqueue_used_element *element = &queue.used.ring[queue.used.index % VIRTQUEUE_BUFFERS];
        switch (next_random() % 4) {
        case 0: /* any identifier, any length */
            element->id = (uint32_t)next_random();
            element->bytes = (uint32_t)next_random();
            break;
        case 1: /* a valid identifier, in flight or not */
            element->id = next_random() % VIRTQUEUE_BUFFERS;
            element->bytes = next_random() % (VIRTQUEUE_BUFFER_BYTES + 2);
            break;
        default: /* honest, if there is anything to return */
            if (queue.in_flight == 0)
                return;
            element->id = (uint32_t)__builtin_ctz(queue.in_flight);
            element->bytes = next_random() % (VIRTQUEUE_BUFFER_BYTES + 1);
            honest_returns++;
            break;
        }
        queue.used.index++;
    }
    if (next_random() % 64 == 0) /* runaway index */
        queue.used.index = (uint16_t)next_random();
}

int main(int argc, char **argv)
{
    const char *seed_text = argc > 1 ? argv[1] : "1";
    struct virtio_device device = {0};
    unsigned taken = 0;
    state = strtoull(seed_text, 0, 0);

    registers[VIRTIO_QUEUE_NUMBER_MAX / 4] = VIRTQUEUE_BUFFERS - 1;
    CHECK(!virtqueue_init(&queue, &device, 0, true, buffers)); /* too small is refused */
    registers[VIRTIO_QUEUE_NUMBER_MAX / 4] = 1024;
    CHECK(virtqueue_init(&queue, &device, 0, true, buffers));
    CHECK(registers[VIRTIO_QUEUE_READY / 4] == 1);

    for (int step = 0; step < 200000; step++) {
        int buffer = virtqueue_free_buffer(&queue);
        if (buffer >= 0 && next_random() % 2) {
            CHECK(!(queue.in_flight & 1U << buffer));
            virtqueue_submit(&queue, (unsigned)buffer, VIRTQUEUE_BUFFER_BYTES);
            virtqueue_notify(&queue);
        }
        device_turn();
        uint32_t bytes = 0;
        uint32_t before = queue.in_flight;
        int got = virtqueue_take(&queue, &bytes);
        if (got >= 0) {
            CHECK(got < VIRTQUEUE_BUFFERS && (before & 1U << got));
            CHECK(bytes <= VIRTQUEUE_BUFFER_BYTES);
            CHECK(queue.in_flight == (before & ~(1U << got)));
            taken++;
        } else {
            CHECK(queue.in_flight == before);
        }
    }
    CHECK(taken > 1000 && queue.violations > 1000 && honest_returns > 1000); /* both kinds were exercised */
    printf("taken %u, violations %u\n", taken, queue.violations);
    return 0;
}
