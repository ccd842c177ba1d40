// GICv3 driver. Register names and offsets: Arm GIC architecture specification
// (IHI 0069), chapter 12.

#include "arch/arm64/gic.h"

#include <stdbool.h>

#include "arch/arm64/arch.h"
#include "board/qemuvirt/board.h"
#include "core/log/log.h"
#include "core/mem/page.h"

#define GICD_CTLR 0x0000
#define GICD_CTLR_GROUP1 (1u << 1)
#define GICD_CTLR_AFFINITY (1u << 4)
#define GICD_CTLR_PENDING (1u << 31)
#define GICD_TYPER 0x0004
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_IROUTER 0x6000

#define GICR_FRAMES_BYTES 0x20000 // control frame, then the SGI frame
#define GICR_SGI_FRAME 0x10000
#define GICR_TYPER 0x0008
#define GICR_TYPER_LAST (1ull << 4)
#define GICR_WAKER 0x0014
#define GICR_WAKER_SLEEP (1u << 1)
#define GICR_WAKER_CHILDREN (1u << 2)

// Polls of a register that the hardware answers within a few cycles.
#define GIC_POLLS_MAX 100000

static uint8_t *distributor;
static uint8_t *redistributors;

static uint32_t read32(uint8_t *base, uint32_t offset)
{
	return *(volatile uint32_t *)(base + offset);
}

static void write32(uint8_t *base, uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(base + offset) = value;
}

static void poll_clear(uint8_t *base, uint32_t offset, uint32_t bits)
{
	for (int i = 0; i < GIC_POLLS_MAX; i++) {
		if ((read32(base, offset) & bits) == 0) {
			return;
		}
	}
	panic("interrupt controller: register %x keeps bits %x", offset, bits);
}

void gic_init(void)
{
	distributor = mmio_map(board.gic_distributor_physical, board.gic_distributor_bytes);
	redistributors = mmio_map(board.gic_redistributor_physical, (uint64_t)board.cpus * GICR_FRAMES_BYTES);
	write32(distributor, GICD_CTLR, GICD_CTLR_AFFINITY);
	poll_clear(distributor, GICD_CTLR, GICD_CTLR_PENDING);
	// All shared interrupts to group 1; routes default to CPU 0 (affinity 0).
	uint32_t words = (read32(distributor, GICD_TYPER) & 0x1f) + 1;
	for (uint32_t i = 1; i < words; i++) {
		write32(distributor, GICD_IGROUPR + 4 * i, ~0u);
	}
	write32(distributor, GICD_CTLR, GICD_CTLR_AFFINITY | GICD_CTLR_GROUP1);
	poll_clear(distributor, GICD_CTLR, GICD_CTLR_PENDING);
}

// GICR_TYPER carries the affinity as four bytes (3.2.1.0) in its upper half,
// MPIDR keeps byte 3 apart at bit 32.
static uint8_t *redistributor_of(uint64_t affinity)
{
	uint32_t wanted = (uint32_t)(affinity & 0xffffff) | (uint32_t)(affinity >> 32) << 24;

	for (unsigned i = 0; i < board.cpus; i++) {
		uint8_t *frames = redistributors + (uint64_t)i * GICR_FRAMES_BYTES;
		uint64_t type = *(volatile uint64_t *)(frames + GICR_TYPER);
		if ((uint32_t)(type >> 32) == wanted) {
			return frames;
		}
		if (type & GICR_TYPER_LAST) {
			break;
		}
	}
	panic("interrupt controller: no redistributor for affinity %llx", (unsigned long long)affinity);
}

void gic_init_cpu(void)
{
	struct percpu *self = this_cpu();
	uint8_t *frames = redistributor_of(self->affinity);
	uint8_t *sgi = frames + GICR_SGI_FRAME;

	self->redistributor = frames;
	write32(frames, GICR_WAKER, read32(frames, GICR_WAKER) & ~GICR_WAKER_SLEEP);
	poll_clear(frames, GICR_WAKER, GICR_WAKER_CHILDREN);
	write32(sgi, GICD_IGROUPR, ~0u);
	write32(sgi, GICD_ISENABLER, 1u << GIC_SGI_RESCHEDULE | 1u << GIC_SGI_STOP);
	uint64_t enable;
	__asm__ volatile("mrs %0, ICC_SRE_EL1" : "=r"(enable));
	__asm__ volatile("msr ICC_SRE_EL1, %0\n\tisb" ::"r"(enable | 7));
	__asm__ volatile("msr ICC_PMR_EL1, %0" ::"r"(0xfful));
	__asm__ volatile("msr ICC_BPR1_EL1, xzr");
	__asm__ volatile("msr ICC_CTLR_EL1, xzr"); // one write ends an interrupt
	__asm__ volatile("msr ICC_IGRPEN1_EL1, %0\n\tisb" ::"r"(1ul));
}

static uint8_t *bank_of(unsigned intid)
{
	if (intid < GIC_INTID_SHARED) {
		return (uint8_t *)this_cpu()->redistributor + GICR_SGI_FRAME;
	}
	return distributor;
}

void gic_enable(unsigned intid)
{
	write32(bank_of(intid), GICD_ISENABLER + 4 * (intid / 32), 1u << intid % 32);
}

void gic_disable(unsigned intid)
{
	write32(bank_of(intid), GICD_ICENABLER + 4 * (intid / 32), 1u << intid % 32);
}

void gic_set_cpu(unsigned intid, unsigned cpu)
{
	if (intid >= GIC_INTID_SHARED) {
		*(volatile uint64_t *)(distributor + GICD_IROUTER + 8ull * intid) = percpu[cpu].affinity;
	}
}

// ICC_SGI1R_EL1: target list [15:0], Aff1 [23:16], INTID [27:24],
// Aff2 [39:32], Aff3 [55:48].
void gic_send(unsigned cpu, unsigned sgi)
{
	uint64_t affinity = percpu[cpu].affinity;
	uint64_t value = 1ull << (affinity & 0xf) | (affinity >> 8 & 0xff) << 16 | (uint64_t)sgi << 24 |
			 (affinity >> 16 & 0xff) << 32 | (affinity >> 32 & 0xff) << 48;

	// What the target is to see must be visible before the interrupt is.
	__asm__ volatile("dsb ishst\n\tmsr ICC_SGI1R_EL1, %0\n\tisb" ::"r"(value) : "memory");
	// QEMU under icount runs CPUs in turn, for up to 100 ms of virtual time
	// each, and does not end a turn for an interrupt to another CPU.
	arch_relax();
}

unsigned gic_acknowledge(void)
{
	uint64_t intid;

	__asm__ volatile("mrs %0, ICC_IAR1_EL1\n\tdsb sy" : "=r"(intid)::"memory");
	return (unsigned)(intid & 0xffffff);
}

void gic_finish(unsigned intid)
{
	__asm__ volatile("msr ICC_EOIR1_EL1, %0" ::"r"((uint64_t)intid) : "memory");
}
