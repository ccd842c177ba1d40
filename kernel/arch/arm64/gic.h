// GICv3: distributor, one redistributor per CPU, CPU interface by system
// registers. Everything is group 1, one priority, level as QEMU raises it.
#ifndef KERNEL_ARCH_ARM64_GIC_H
#define KERNEL_ARCH_ARM64_GIC_H

#include <stdint.h>

#define GIC_INTID_SHARED 32 // below: private to a CPU
#define GIC_INTID_SPECIAL 1020
#define GIC_SGI_RESCHEDULE 0
#define GIC_SGI_STOP 1

void gic_init(void);     // distributor, once
void gic_init_cpu(void); // this CPU's redistributor and interface
void gic_enable(unsigned intid);
void gic_disable(unsigned intid);
void gic_set_cpu(unsigned intid, unsigned cpu);
void gic_send(unsigned cpu, unsigned sgi);
unsigned gic_acknowledge(void);
void gic_finish(unsigned intid);

#endif
