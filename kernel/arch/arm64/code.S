// The call of compiled code. Two registers are all that is kept: what it calls
// writes nothing above x15 (core/code/code.h). After a fault the trap handler
// comes back to code_return with sp = x29.

	.text
	.globl code_call
	.type code_call, %function
// (context, packet, bytes, function)
code_call:
	stp x29, x30, [sp, #-16]!
	mov x29, sp
	blr x3
	.globl code_return
code_return:
	ldp x29, x30, [sp], #16
	ret
	.size code_call, . - code_call
