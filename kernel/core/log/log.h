// The console log: whole lines on the PL011, one CPU at a time, and panic.
// A line is at most LOG_LINE_BYTES long; the rest is cut.
#ifndef KERNEL_CORE_LOG_LOG_H
#define KERNEL_CORE_LOG_LOG_H

#define LOG_LINE_BYTES 256

// Before anything else: until the device tree is read the UART is where QEMU
// virt has it, so that even a refused tree is reported.
void log_init(void);

// Formats: %s %c %u %d %x %lu %ld %lx %llu %lld %llx %zu %p %%, with width
// and zero padding (%08x). Callable from anywhere, interrupts included.
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Prints registers, back trace and the running service between `panic: ` and
// `panic: end`, then powers the machine off.
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
