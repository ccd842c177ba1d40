// The C face of package rt (kernel/rt/imports.h): what Go services may ask of
// the kernel. Each function only converts integers and passes on; none keeps
// an address.
#include "rt/imports.h"

#include "arch/arm64/arch.h"
#include "core/control/control.h"
#include "core/hook/hook.h"
#include "core/log/log.h"

uint64_t rt_now_ns(void)
{
	return arch_now_ns();
}

uint64_t rt_instructions(void)
{
	return arch_instructions();
}

uint64_t rt_cpus(void)
{
	return cpu_count();
}

uint64_t rt_ring_read(uint64_t cpu, uint64_t event)
{
	return cpu < ABI_CPU_MAX && hook_ring_read((uint32_t)cpu, (struct abi_net_rx_event *)(uintptr_t)event);
}

uint64_t rt_ring_lost(uint64_t cpu)
{
	return cpu < ABI_CPU_MAX ? hook_ring_lost((uint32_t)cpu) : 0;
}

void rt_publish(uint64_t hook, uint64_t index, uint64_t version, uint64_t cpu_mask)
{
	hook_publish((uint32_t)hook, (uint32_t)index, (uint32_t)version, (uint32_t)cpu_mask);
}

uint64_t rt_load_code(uint64_t hook, uint64_t index, uint64_t bytes, uint64_t count)
{
	return hook_load_code((uint32_t)hook, (uint32_t)index, (const uint8_t *)(uintptr_t)bytes, (uint32_t)count);
}

uint64_t rt_quiescent(uint64_t hook, uint64_t index)
{
	return hook_quiescent((uint32_t)hook, (uint32_t)index);
}

void rt_hook_stats(uint64_t hook, uint64_t cpu, uint64_t stats)
{
	if (hook == ABI_HOOK_NET_RX) {
		hook_stats(cpu < ABI_CPU_MAX ? (uint32_t)cpu : UINT32_MAX, (struct abi_net_rx_stats *)(uintptr_t)stats);
	}
}

void rt_send_frame(uint64_t bytes, uint64_t count)
{
	control_send((const uint8_t *)(uintptr_t)bytes, (uint32_t)count);
}

void rt_log(uint64_t bytes, uint64_t count)
{
	char line[LOG_LINE_BYTES];
	uint64_t kept = count < sizeof line - 1 ? count : sizeof line - 1;
	const char *text = (const char *)(uintptr_t)bytes;

	for (uint64_t i = 0; i < kept; i++) {
		line[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	}
	line[kept] = 0;
	log_line("%s", line);
}
