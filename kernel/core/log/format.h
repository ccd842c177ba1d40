// The format subset of log_line, apart so that it can be tested on the host;
// and the console as a panicking CPU uses it.
#ifndef KERNEL_CORE_LOG_FORMAT_H
#define KERNEL_CORE_LOG_FORMAT_H

#include <stdarg.h>
#include <stdint.h>

// At most `room` bytes including the newline it always ends in; returns how
// many. Control characters in %s come out as `?`, so a line stays a line.
uint32_t format_line(char *line, uint32_t room, const char *format, va_list arguments);

// Take the console even from a CPU that never gives it back; afterwards only
// the log_seized functions write. Used by panic.
void log_seize(void);
void log_seized(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_seized_list(const char *format, va_list arguments);

#endif
