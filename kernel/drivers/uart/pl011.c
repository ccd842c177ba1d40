// PL011 transmit; see pl011.h.

#include "drivers/uart/pl011.h"

// Arm PL011 (DDI 0183): data, flags, control.
#define PL011_DATA 0x00
#define PL011_FLAGS 0x18
#define PL011_FLAGS_TRANSMIT_FULL (1u << 5)
#define PL011_CONTROL 0x30
#define PL011_CONTROL_ENABLE_TRANSMIT (1u << 0 | 1u << 8)

// A full FIFO of 32 bytes drains in 3 ms at 115200 baud; never wait for ever.
#define PL011_POLLS_MAX 10000000

static volatile uint8_t *registers;

void pl011_init(volatile void *base)
{
	registers = base;
	*(volatile uint32_t *)(registers + PL011_CONTROL) = PL011_CONTROL_ENABLE_TRANSMIT;
}

void pl011_write(const char *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t polls = 0;
		while ((*(volatile uint32_t *)(registers + PL011_FLAGS) & PL011_FLAGS_TRANSMIT_FULL) != 0 &&
		       polls < PL011_POLLS_MAX) {
			polls++;
		}
		*(volatile uint32_t *)(registers + PL011_DATA) = (uint8_t)bytes[i];
	}
}
