// The last words of the kernel. Everything goes straight to the UART, on one
// CPU, with the others stopped; then the machine is switched off.

#include <stdarg.h>
#include <stddef.h>

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "core/log/format.h"
#include "core/log/log.h"
#include "core/sched/thread.h"
#include "core/sync/spinlock.h"
#include "core/symbols/symbols.h"
#include "core/trap/trace.h"
#include "core/trap/trap.h"

void registers_now(uint64_t x[31]); // switch.S

#define PANIC_FRAMES_MAX 64

// 1 + number of the CPU that panics; the first one speaks.
static uint32_t panicking;

_Noreturn void panic_stop(void)
{
	for (;;) {
		irq_save();
		arch_wfi();
	}
}

static void stop_others(void)
{
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (percpu[cpu].online && cpu != cpu_id()) {
			gic_send(cpu, GIC_SGI_STOP);
		}
	}
}

// Returns on the one CPU that may report. A panic inside the report ends it.
static void begin(void)
{
	uint32_t nobody = 0;

	irq_save();
	uint32_t self = cpu_id() + 1;
	if (!__atomic_compare_exchange_n(&panicking, &nobody, self, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (nobody != self) {
			panic_stop();
		}
		log_seized("panic: again, inside the report");
		log_seized("panic: end");
		psci_system_off();
	}
	stop_others();
	log_seize();
}

static void print_place(const char *what, uint64_t address)
{
	uint64_t offset;
	const char *name = symbol_lookup(address, &offset);

	log_seized("panic: %s %016llx %s+%llx", what, (unsigned long long)address, name, (unsigned long long)offset);
}

static void print_trace(uint64_t frame_pointer)
{
	uint64_t trace[PANIC_FRAMES_MAX];
	uint32_t count = trace_walk(frame_pointer, trace, PANIC_FRAMES_MAX);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t again = 0;
		while (i + 1 < count && trace[i + 1] == trace[i]) {
			again++;
			i++;
		}
		print_place("from", trace[i]);
		if (again > 0) {
			log_seized("panic: and %u times more", again);
		}
	}
}

static void print_thread(void)
{
	const struct thread *thread = thread_current();
	const struct guard_link *guard = thread != NULL ? thread->guard : NULL;

	log_seized("panic: cpu %u thread %s service %s irq_depth %u at %llu ns", cpu_id(),
		   thread != NULL ? thread->name : "(boot)",
		   service_name(guard != NULL ? (unsigned)guard->service : SERVICE_NONE), this_cpu()->irq_depth,
		   (unsigned long long)arch_now_ns());
}

static void print_registers(const struct trap_frame *frame)
{
	for (unsigned i = 0; i < 30; i += 3) {
		log_seized("panic: x%u %016llx x%u %016llx x%u %016llx", i, (unsigned long long)frame->x[i], i + 1,
			   (unsigned long long)frame->x[i + 1], i + 2, (unsigned long long)frame->x[i + 2]);
	}
}

static _Noreturn void end(void)
{
	log_seized("panic: end");
	psci_system_off();
}

_Noreturn void panic(const char *format, ...)
{
	char prefixed[LOG_LINE_BYTES] = "panic: ";
	uint32_t used = 7;
	va_list arguments;
	struct trap_frame frame = {0};

	registers_now(frame.x);
	begin();
	for (; *format != 0 && used < sizeof(prefixed) - 1; format++) {
		prefixed[used++] = *format;
	}
	prefixed[used] = 0;
	va_start(arguments, format);
	log_seized_list(prefixed, arguments);
	va_end(arguments);
	print_thread();
	print_registers(&frame);
	print_trace((uint64_t)__builtin_frame_address(0));
	end();
}

_Noreturn void panic_with_frame(const struct trap_frame *frame, const char *why)
{
	begin();
	log_seized("panic: %s", why);
	print_thread();
	print_place("pc", frame->pc);
	print_place("lr", frame->x[30]);
	log_seized("panic: esr %llx far %llx spsr %llx sp %016llx", (unsigned long long)frame->syndrome,
		   (unsigned long long)frame->address, (unsigned long long)frame->state, (unsigned long long)frame->sp);
	print_registers(frame);
	print_trace(frame->x[29]);
	end();
}
