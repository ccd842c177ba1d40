// Interrupts by GIC number. Handlers run with interrupts masked, on the stack
// of the thread they interrupt; they must be short and end in an event_signal.
#ifndef KERNEL_CORE_TRAP_IRQ_H
#define KERNEL_CORE_TRAP_IRQ_H

#define IRQ_INTIDS_MAX 1020

// Register the handler and enable the interrupt. A shared one (32 and up)
// goes to CPU 0 until irq_set_cpu. A private one is enabled on this CPU only.
void irq_register(unsigned intid, void (*handler)(unsigned intid, void *argument), void *argument);
void irq_set_cpu(unsigned intid, unsigned cpu);
void irq_disable(unsigned intid);

// How many interrupts of this number were handled, all CPUs together.
unsigned long irq_count(unsigned intid);

#endif
