// "Ready": all CPUs online, no page writable and executable, the first packet
// judged, Hello on its way. What it cost is read at that instant, before the
// frame is made, so that neither console is part of the figure.
#include "arch/arm64/arch.h"
#include "arch/arm64/mmu.h"
#include "board/qemuvirt/board.h"
#include "core/control/control.h"
#include "core/hook/hook.h"
#include "core/job/internal.h"
#include "core/lib/string.h"
#include "core/log/log.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "core/sync/spinlock.h"
#include "core/symbols/symbols.h"

enum { FIRST_PACKET_BYTES = 60 };

static uint64_t boot_insn;
static bool frame_answered;
static struct event first_frame = EVENT_INITIAL;

// A UDP datagram of 18 zero bytes from 192.0.2.1 to 192.0.2.2, port 9
// (discard): addresses of RFC 5737, no UDP checksum. Nobody listens yet, so
// it travels the whole way to a refusal.
static const uint8_t first_packet[FIRST_PACKET_BYTES] = {
	2, 0,  0,  0,	 0,    2,   2, 0, 0, 0,	  0, 1, 0x08, 0x00, 0x45, 0, 0, 46, 0,	0, 0x40,
	0, 64, 17, 0xb6, 0xbb, 192, 0, 2, 1, 192, 0, 2, 2,    0x80, 0,	  0, 9, 0,  26, 0, 0,
};

// Instructions from reset to ready. Under icount one counter serves all CPUs,
// so with several CPUs this is their sum, and an upper bound for CPU 0.
uint64_t job_boot_insn(void)
{
	return boot_insn;
}

static uint32_t hello_flags(void)
{
	struct abi_net_rx_stats stats;
	uint32_t flags = 0;

	hook_stats(0, &stats);
	flags |= mmu_wxorx_verified ? ABI_HELLO_W_XOR_X : 0;
	flags |= cpu_count() == board.cpus ? ABI_HELLO_ALL_CPUS : 0;
	flags |= stats.no_consumer == 1 ? ABI_HELLO_FIRST_EVENT : 0;
	return flags;
}

void job_declare_ready(void)
{
	static const char release[] = "go-kernel";
	struct abi_hello hello = {
		.version = ABI_VERSION,
		.kind = ABI_KERNEL_OURS,
		.cpus = cpu_count(),
		.memory_bytes = board.memory_bytes,
	};

	net_receive(NET_IFINDEX_SYNTH, first_packet, sizeof first_packet, 0);
	hello.flags = hello_flags();
	memcpy(hello.kernel_digest, kernel_digest, sizeof hello.kernel_digest);
	memcpy(hello.release, release, sizeof release);
	boot_insn = arch_instructions_retired();
	hello.boot_insn_cpu0 = boot_insn;
	hello.boot_insn_total = boot_insn;
	hello.boot_ns = arch_now_ns();
	control_send_message(ABI_MESSAGE_HELLO, 0, &hello, sizeof hello);
	log_line("ready: insn=%llu total=%llu cpus=%u", (unsigned long long)boot_insn, (unsigned long long)boot_insn,
		 hello.cpus);
	if (hello.flags != (ABI_HELLO_W_XOR_X | ABI_HELLO_ALL_CPUS | ABI_HELLO_FIRST_EVENT)) {
		log_line("ready: flags %x, some condition does not hold", hello.flags);
	}
}

void job_frame_arrived(void)
{
	event_signal(&first_frame);
}

void job_frame_answered(void)
{
	if (!__atomic_exchange_n(&frame_answered, true, __ATOMIC_ACQ_REL)) {
		uint64_t insn = arch_instructions_retired();

		log_line("control: first frame answered at insn=%llu", (unsigned long long)insn);
		event_signal(&first_frame);
	}
}

void job_wait_first_frame(void)
{
	event_wait(&first_frame);
}
