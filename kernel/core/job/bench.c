// JobBench: what a program costs by itself. The program and then the empty
// program (`r0 = 2; exit`) judge every packet of the trace `repeat` times,
// through the hook and without anything behind it; the difference is what the
// other kernel's BPF_PROG_TEST_RUN is compared with.
#include "arch/arm64/arch.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/net/net.h"
#include "drivers/synth/synth.h"

// In wire format: mov64 r0, 2 (NetRXPass); exit.
static const uint8_t empty_program[16] = {
	0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0,
};

static uint64_t judged_insn;
static uint64_t judged_packets;

static void judge_one(uint32_t number)
{
	struct abi_net_rx_context context = {.ingress_ifindex = NET_IFINDEX_SYNTH};
	struct hook_decision decision;
	const uint8_t *packet;
	uint64_t start;

	packet = synth_packet(number, &context.data_end);
	start = arch_instructions();
	hook_net_rx(&context, packet, context.data_end, &decision);
	judged_insn += arch_instructions() - start;
	judged_packets++;
}

static void judge_all(uint32_t cpu)
{
	uint32_t passes = job.view.repeat != 0 ? job.view.repeat : 1;

	if (cpu != 0) {
		return;
	}
	for (uint32_t pass = 0; pass < passes; pass++) {
		for (uint32_t i = 0; i < synth_packet_count(); i++) {
			judge_one(i);
		}
	}
}

// Instructions over all packets with this program in the slot.
static int32_t run(const uint8_t *program, uint32_t bytes, uint32_t *version_index, uint64_t *insn)
{
	int32_t code = job_install(program, bytes, version_index);

	if (code != ABI_OK) {
		return code;
	}
	hook_reset_counters();
	judged_insn = 0;
	judged_packets = 0;
	job_on_net_rx(judge_all, true);
	*insn = judged_insn;
	return ABI_OK;
}

void job_bench(struct abi_report *report)
{
	uint32_t version_index = 0;

	if (!synth_loaded()) {
		report->code = ABI_ERR_NOT_FOUND;
		return;
	}
	report->code = run(empty_program, sizeof empty_program, &version_index, &report->insn_empty);
	if (report->code == ABI_OK) {
		report->code = run(job.blob + job.view.program_offset, job.view.program_bytes, &version_index,
				   &report->insn_total);
	}
	if (report->code == ABI_OK) {
		uint64_t insn = report->insn_total;

		job_fill_report(report, version_index);
		report->insn_total = insn;
		report->offered = judged_packets;
	}
}
