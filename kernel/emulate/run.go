package emulate

// runner is the process: it walks the table at dataAddress, whose entries are
// code, first, second, third and, for the answer, x0 and the bits that changed
// in registers a callee must keep. An entry without code ends the table and
// has the length of the data, which is then written to standard output. Every
// register a program may read is zero but those that carry arguments.
//
// The words are what llvm-mc -triple=aarch64 makes of the text beside them.
var runner = [...]uint32{
	0xd2a80013, // mov x19, #0x40000000
	0xd2830312, // mov x18, #0x1818
	0xd2842435, // mov x21, #0x2121
	0xd2844456, // mov x22, #0x2222
	0xd2846477, // mov x23, #0x2323
	0xd2848498, // mov x24, #0x2424
	0xd284a4b9, // mov x25, #0x2525
	0xd284c4da, // mov x26, #0x2626
	0xd284e4fb, // mov x27, #0x2727
	0xd285051c, // mov x28, #0x2828
	0xd285253d, // mov x29, #0x2929
	0x910003f4, // mov x20, sp
	0xf9400270, // next: ldr x16, [x19]
	0xb4000670, // cbz x16, done
	0xa9408660, // ldp x0, x1, [x19, #8]
	0xf9400e62, // ldr x2, [x19, #24]
	0xd2800003, // mov x3, #0
	0xd2800004, // mov x4, #0
	0xd2800005, // mov x5, #0
	0xd2800006, // mov x6, #0
	0xd2800007, // mov x7, #0
	0xd2800008, // mov x8, #0
	0xd2800009, // mov x9, #0
	0xd280000a, // mov x10, #0
	0xd280000b, // mov x11, #0
	0xd280000c, // mov x12, #0
	0xd280000d, // mov x13, #0
	0xd63f0200, // blr x16
	0xf9001260, // str x0, [x19, #32]
	0x910003e1, // mov x1, sp
	0xca010280, // eor x0, x20, x1
	0xd2830301, // mov x1, #0x1818
	0xca120021, // eor x1, x1, x18
	0xaa010000, // orr x0, x0, x1
	0xd2842421, // mov x1, #0x2121
	0xca150021, // eor x1, x1, x21
	0xaa010000, // orr x0, x0, x1
	0xd2844441, // mov x1, #0x2222
	0xca160021, // eor x1, x1, x22
	0xaa010000, // orr x0, x0, x1
	0xd2846461, // mov x1, #0x2323
	0xca170021, // eor x1, x1, x23
	0xaa010000, // orr x0, x0, x1
	0xd2848481, // mov x1, #0x2424
	0xca180021, // eor x1, x1, x24
	0xaa010000, // orr x0, x0, x1
	0xd284a4a1, // mov x1, #0x2525
	0xca190021, // eor x1, x1, x25
	0xaa010000, // orr x0, x0, x1
	0xd284c4c1, // mov x1, #0x2626
	0xca1a0021, // eor x1, x1, x26
	0xaa010000, // orr x0, x0, x1
	0xd284e4e1, // mov x1, #0x2727
	0xca1b0021, // eor x1, x1, x27
	0xaa010000, // orr x0, x0, x1
	0xd2850501, // mov x1, #0x2828
	0xca1c0021, // eor x1, x1, x28
	0xaa010000, // orr x0, x0, x1
	0xd2852521, // mov x1, #0x2929
	0xca1d0021, // eor x1, x1, x29
	0xaa010000, // orr x0, x0, x1
	0xf9001660, // str x0, [x19, #40]
	0x9100c273, // add x19, x19, #48
	0x17ffffcd, // b next
	0xf9400674, // done: ldr x20, [x19, #8]
	0xd2a80013, // mov x19, #0x40000000
	0xd2800020, // more: mov x0, #1
	0xaa1303e1, // mov x1, x19
	0xaa1403e2, // mov x2, x20
	0xd2800808, // mov x8, #64
	0xd4000001, // svc #0
	0xf100001f, // cmp x0, #0
	0x540000ed, // b.le fail
	0x8b000273, // add x19, x19, x0
	0xeb000294, // subs x20, x20, x0
	0x54fffee1, // b.ne more
	0xd2800000, // mov x0, #0
	0xd2800bc8, // mov x8, #94
	0xd4000001, // svc #0
	0xd2800020, // fail: mov x0, #1
	0xd2800bc8, // mov x8, #94
	0xd4000001, // svc #0
}
