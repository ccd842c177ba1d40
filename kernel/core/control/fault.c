// After a contained panic: the service gets its first state back and a record
// says so. Runs on the thread that had called the service.
#include "arch/arm64/arch.h"
#include "core/control/control.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/trap/guard.h"
#include "rt/services.h"

static uint64_t resets;

uint64_t control_resets(void)
{
	return __atomic_load_n(&resets, __ATOMIC_RELAXED);
}

void fault_contained(const struct guard_fault *fault)
{
	const uint64_t arguments[6] = {fault->service, fault->cpu, 0, 0, 0, 0};
	struct abi_record record = {
		.time_ns = arch_now_ns(),
		.stage = ABI_STAGE_FAULT,
		.verdict = ABI_VERDICT_RESET,
		.hook = fault->service == SERVICE_NET_RX ? ABI_HOOK_NET_RX : ABI_HOOK_NONE,
		.cpu = (uint8_t)fault->cpu,
		.code = ABI_ERR_PANIC,
		.instruction = -1,
	};
	uint64_t result, count, state;

	// The guard has no way out of a second fault: svc_reset must not panic.
	guard_call(svc_reset, arguments, &result, fault->service);
	count = __atomic_add_fetch(&resets, 1, __ATOMIC_RELAXED);
	record.sequence = count;
	record.values[0] = fault->service;
	record.values[1] = fault->pc;
	record.values[2] = fault->syndrome;
	record.values[3] = count;
	// Masked, so that the packet path never waits for the host.
	state = irq_save();
	control_send_message(ABI_MESSAGE_RECORD, 0, &record, sizeof record);
	irq_restore(state);
}
