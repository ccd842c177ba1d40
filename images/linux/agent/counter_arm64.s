#include "textflag.h"

// func counter() (ticks, ticksPerSecond uint64)
// The virtual counter starts at reset; Linux lets user space read it.
TEXT ·counter(SB), NOSPLIT, $0-16
	ISB	$15
	MRS	CNTVCT_EL0, R0
	MRS	CNTFRQ_EL0, R1
	MOVD	R0, ticks+0(FP)
	MOVD	R1, ticksPerSecond+8(FP)
	RET
