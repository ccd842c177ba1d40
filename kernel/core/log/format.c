// Formatting of log lines; see format.h. Integers and text only: the kernel
// has no floating point.

#include "core/log/format.h"

#include <stdbool.h>
#include <stddef.h>

#define DIGITS_MAX 20

struct output {
	char *line;
	uint32_t used, room; // room leaves the newline out
};

struct conversion {
	uint32_t width;
	bool zero;
	uint32_t longs;
};

static void put(struct output *out, char byte)
{
	if (out->used < out->room) {
		out->line[out->used++] = byte;
	}
}

static void put_text(struct output *out, const char *text, uint32_t width)
{
	uint32_t count = 0;

	if (text == NULL) {
		text = "(null)";
	}
	for (; *text != 0 && out->used < out->room; text++, count++) {
		put(out, *text >= ' ' && *text < 0x7f ? *text : '?');
	}
	for (; count < width; count++) {
		put(out, ' ');
	}
}

static void put_number(struct output *out, uint64_t value, uint32_t base, bool negative, struct conversion conversion)
{
	char digits[DIGITS_MAX];
	uint32_t count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	uint32_t length = count + (negative ? 1 : 0);
	if (negative && conversion.zero) {
		put(out, '-');
	}
	for (; length < conversion.width; length++) {
		put(out, conversion.zero ? '0' : ' ');
	}
	if (negative && !conversion.zero) {
		put(out, '-');
	}
	while (count > 0) {
		put(out, digits[--count]);
	}
}

static void put_signed(struct output *out, int64_t value, struct conversion conversion)
{
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	put_number(out, magnitude, 10, value < 0, conversion);
}

static const char *parse(const char *at, struct conversion *conversion)
{
	*conversion = (struct conversion){0};
	if (*at == '0') {
		conversion->zero = true;
		at++;
	}
	while (*at >= '0' && *at <= '9' && conversion->width < 100) {
		conversion->width = conversion->width * 10 + (uint32_t)(*at++ - '0');
	}
	while (*at == 'l' || *at == 'z') {
		conversion->longs++;
		at++;
	}
	return at;
}

// int and unsigned are 32 bits, everything longer is 64.
static const char *convert(struct output *out, const char *at, va_list *arguments)
{
	struct conversion conversion;

	at = parse(at, &conversion);
	switch (*at) {
	case 's':
		put_text(out, va_arg(*arguments, const char *), conversion.width);
		break;
	case 'c':
		put(out, (char)va_arg(*arguments, int));
		break;
	case 'd':
		put_signed(out, conversion.longs ? va_arg(*arguments, int64_t) : va_arg(*arguments, int32_t),
			   conversion);
		break;
	case 'u':
	case 'x':
		put_number(out, conversion.longs ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t),
			   *at == 'u' ? 10 : 16, false, conversion);
		break;
	case 'p':
		put_number(out, (uint64_t)(uintptr_t)va_arg(*arguments, void *), 16, false,
			   (struct conversion){.width = 16, .zero = true});
		break;
	case 0:
		return at;
	default:
		put(out, *at);
		break;
	}
	return at + 1;
}

uint32_t format_line(char *line, uint32_t room, const char *format, va_list arguments)
{
	struct output out = {.line = line, .room = room - 1};
	va_list list;

	va_copy(list, arguments);
	while (*format != 0) {
		if (*format == '%') {
			format = convert(&out, format + 1, &list);
		} else {
			put(&out, *format++);
		}
	}
	va_end(list);
	line[out.used] = '\n';
	return out.used + 1;
}
