// PL011 serial port, transmit only, polled: the log must work when nothing
// else does. QEMU's model needs no baud rate.
#ifndef KERNEL_DRIVERS_UART_PL011_H
#define KERNEL_DRIVERS_UART_PL011_H

#include <stdint.h>

// `base` is the mapped register block.
void pl011_init(volatile void *base);
void pl011_write(const char *bytes, uint32_t count);

#endif
