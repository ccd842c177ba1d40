// Formatting and the console lock. A line is made in a buffer on the caller's
// stack and written whole, so that lines of several CPUs never mix.

#include "core/log/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/log/format.h"
#include "core/mem/page.h"
#include "core/sync/spinlock.h"
#include "drivers/uart/pl011.h"

static struct spinlock console_lock;

#define UART_EARLY_PHYSICAL 0x09000000

// A panicking CPU must not wait for a lock whose holder may be what failed.
#define PANIC_LOCK_POLLS 100000

void log_init(void)
{
	pl011_init(phys_to_virt(UART_EARLY_PHYSICAL));
}

void log_line(const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	uint32_t bytes = format_line(line, sizeof(line), format, arguments);
	va_end(arguments);
	uint64_t state = spin_lock_irqsave(&console_lock);
	pl011_write(line, bytes);
	spin_unlock_irqrestore(&console_lock, state);
}

void log_seize(void)
{
	for (int i = 0; i < PANIC_LOCK_POLLS && !spin_try_lock(&console_lock); i++) {
		arch_relax();
	}
}

void log_seized(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_seized_list(format, arguments);
	va_end(arguments);
}

void log_seized_list(const char *format, va_list arguments)
{
	char line[LOG_LINE_BYTES];

	pl011_write(line, format_line(line, sizeof(line), format, arguments));
}
