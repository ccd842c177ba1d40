// The boot order of the kernel: a table of contents. CPU 0 runs it with
// interrupts masked, on what becomes its idle thread; threads made on the way
// begin when it reaches the idle loop.

#include "arch/arm64/arch.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/mmu.h"
#include "board/qemuvirt/board.h"
#include "core/control/control.h"
#include "core/exercise/exercise.h"
#include "core/hook/hook.h"
#include "core/job/job.h"
#include "core/log/log.h"
#include "core/mem/page.h"
#include "core/net/net.h"
#include "core/sched/sched.h"
#include "drivers/virtio/console.h"
#include "drivers/virtio/net.h"
#include "rt/services.h"

_Noreturn void kernel_main(uint64_t tree_physical);

static void services_init(void)
{
	go_init();
	hook_init();
	net_init();
}

static void drivers_init(void)
{
	console_init();
	virtio_net_init();
}

static void report(void)
{
	log_line("boot: %u cpus, %llu KiB free, text %llu KiB, w^x %s", cpu_count(),
		 (unsigned long long)page_free_bytes() >> 10, (unsigned long long)mmu_census.executable_bytes >> 10,
		 mmu_wxorx_verified ? "verified" : "NOT verified");
}

_Noreturn void kernel_main(uint64_t tree_physical)
{
	smp_boot_cpu_begins();
	log_init();
	board_init(tree_physical);
	psci_init(board.psci_smc);
	mmu_init();
	page_init();
	clock_init();
	gic_init();
	smp_boot_cpu_online();
	services_init();
	drivers_init();
	smp_start();
	report();
	if (!exercise_start()) {
		job_start();
		control_start();
	}
	sched_idle_loop();
}
