package arm64

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

type encoding struct {
	word uint32
	text string
}

// encodings has every form the lowering uses, with the corners of its fields.
func encodings() []encoding {
	mask := func(value uint64, is64 bool) uint32 {
		fields, fits := bitMask(value, is64)
		if !fits {
			panic(fmt.Sprintf("%#x is a mask", value))
		}
		return fields
	}
	return []encoding{
		{arithmeticImmediate(addImmediate, true, 3, 4, 14), "add x3, x4, #14"},
		{arithmeticImmediate(addImmediate, true, 3, stackPointer, 0xfff), "add x3, sp, #4095"},
		{arithmeticImmediate(addImmediate, false, 3, 4, 0x5000), "add w3, w4, #5, lsl #12"},
		{arithmeticImmediate(subtractImmediate, true, stackPointer, stackPointer, 512), "sub sp, sp, #512"},
		{arithmeticImmediate(subtractImmediate, false, 7, 7, 1), "sub w7, w7, #1"},
		{arithmeticImmediate(compareImmediate, true, zero, 9, 443), "cmp x9, #443"},
		{arithmeticImmediate(compareImmediate, false, zero, 9, 0xfff000), "cmp w9, #4095, lsl #12"},
		{arithmeticImmediate(compareNegative, true, zero, 9, 1), "cmn x9, #1"},
		{logicalImmediate(andImmediate, true, 1, 2, mask(0xff, true)), "and x1, x2, #0xff"},
		{logicalImmediate(andImmediate, false, 1, 2, mask(0xf0, false)), "and w1, w2, #0xf0"},
		{logicalImmediate(orImmediate, true, 1, 2, mask(0xf00000000000000f, true)), "orr x1, x2, #0xf00000000000000f"},
		{logicalImmediate(xorImmediate, false, 1, 2, mask(0x55555555, false)), "eor w1, w2, #0x55555555"},
		{logicalImmediate(testImmediate, true, zero, 2, mask(0xffffffff80000000, true)), "tst x2, #0xffffffff80000000"},
		{logicalImmediate(orImmediate, true, 1, zero, mask(0x00ff00ff00ff00ff, true)), "orr x1, xzr, #0xff00ff00ff00ff"},
		{logicalImmediate(orImmediate, true, 1, zero, mask(0x8000000000000001, true)), "orr x1, xzr, #0x8000000000000001"},
		{moveWide(moveZero, true, 5, 0xffff, 3), "movz x5, #65535, lsl #48"},
		{moveWide(moveNot, false, 5, 4, 1), "movn w5, #4, lsl #16"},
		{moveWide(moveKeep, true, 5, 1, 2), "movk x5, #1, lsl #32"},
		{bitField(bitFieldUnsigned, true, 1, 2, 4, 7), "ubfx x1, x2, #4, #4"},
		{bitField(bitFieldUnsigned, false, 1, 2, 28, 31), "lsr w1, w2, #28"},
		{bitField(bitFieldSigned, true, 1, 2, 0, 31), "sxtw x1, w2"},
		{bitField(bitFieldSigned, false, 1, 2, 0, 7), "sxtb w1, w2"},
		{bitField(bitFieldSigned, true, 1, 2, 63, 63), "asr x1, x2, #63"},
		{threeRegisters(addRegister, true, 1, 2, 3), "add x1, x2, x3"},
		{threeRegisters(subtractRegister, false, 1, 2, 3), "sub w1, w2, w3"},
		{threeRegisters(subtractRegister, true, 1, zero, 3), "neg x1, x3"},
		{threeRegisters(compareRegister, true, zero, 2, 3), "cmp x2, x3"},
		{threeRegisters(andRegister, true, 1, 2, 3), "and x1, x2, x3"},
		{threeRegisters(orRegister, false, 1, zero, 3), "mov w1, w3"},
		{threeRegisters(xorRegister, true, 1, 2, 3), "eor x1, x2, x3"},
		{threeRegisters(testRegister, false, zero, 2, 3), "tst w2, w3"},
		{fourRegisters(multiplyAdd, true, 1, 2, 3, zero), "mul x1, x2, x3"},
		{fourRegisters(multiplySubtract, false, 1, 2, 3, 4), "msub w1, w2, w3, w4"},
		{threeRegisters(divideUnsigned, true, 1, 2, 3), "udiv x1, x2, x3"},
		{threeRegisters(divideSigned, false, 1, 2, 3), "sdiv w1, w2, w3"},
		{threeRegisters(shiftLeft, true, 1, 2, 3), "lsl x1, x2, x3"},
		{threeRegisters(shiftRight, false, 1, 2, 3), "lsr w1, w2, w3"},
		{threeRegisters(shiftRightSigned, true, 1, 2, 3), "asr x1, x2, x3"},
		{twoRegisters(swapIn16, 1, 2), "rev16 w1, w2"},
		{twoRegisters(swapIn32, 1, 2), "rev w1, w2"},
		{twoRegisters(swapIn64, 1, 2), "rev x1, x2"},
	}
}

// jumpsAndAccesses is the rest of the table.
func jumpsAndAccesses() []encoding {
	return []encoding{
		{returnWord, "ret"},
		{branch(-1), "b #-4"},
		{branch(0x1ffffff), "b #134217724"},
		{branchIf(higher, 5), "b.hi #20"},
		{branchIf(lessEqual, -0x40000), "b.le #-1048576"},
		{branchZero(true, false, 3, 2), "cbz x3, #8"},
		{branchZero(false, true, 3, 0x3ffff), "cbnz w3, #1048572"},
		{branchBit(false, 3, 63, 1), "tbz x3, #63, #4"},
		{branchBit(true, 3, 5, -0x2000), "tbnz w3, #5, #-32768"},
		{accessScaled(accessLoad, 0, 1, 2, 4095), "ldrb w1, [x2, #4095]"},
		{accessScaled(accessLoad, 1, 1, 2, 12), "ldrh w1, [x2, #12]"},
		{accessScaled(accessLoad, 2, 1, 2, 16380), "ldr w1, [x2, #16380]"},
		{accessScaled(accessLoad, 3, 1, stackPointer, 8), "ldr x1, [sp, #8]"},
		{accessScaled(accessStore, 3, zero, stackPointer, 8), "str xzr, [sp, #8]"},
		{accessScaled(accessLoadSigned, 0, 1, 2, 1), "ldrsb x1, [x2, #1]"},
		{accessScaled(accessLoadSigned, 1, 1, 2, 2), "ldrsh x1, [x2, #2]"},
		{accessScaled(accessLoadSigned, 2, 1, 2, 4), "ldrsw x1, [x2, #4]"},
		{accessUnscaled(accessLoad, 1, 1, 2, -256), "ldurh w1, [x2, #-256]"},
		{accessUnscaled(accessStore, 2, 1, 2, 255), "stur w1, [x2, #255]"},
		{accessIndexed(accessLoad, 3, 1, 2, 3), "ldr x1, [x2, x3]"},
		{accessIndexed(accessStore, 0, 1, stackPointer, 3), "strb w1, [sp, x3]"},
	}
}

// TestEncodings compares every form with LLVM's assembler.
func TestEncodings(t *testing.T) {
	assembler, err := exec.LookPath("llvm-mc-19")
	if err != nil {
		t.Skip("SKIPPED: llvm-mc-19 is not installed (Debian: llvm-19); no encoding was compared")
	}
	table := append(encodings(), jumpsAndAccesses()...)
	var text strings.Builder
	for _, e := range table {
		text.WriteString(e.text + "\n")
	}
	command := exec.Command(assembler, "-triple=aarch64", "-show-encoding")
	command.Stdin = strings.NewReader(text.String())
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var words []uint32
	for _, line := range bytes.Split(out, []byte("\n")) {
		_, after, found := bytes.Cut(line, []byte("encoding: ["))
		var b [4]uint32
		if !found {
			continue
		}
		if n, err := fmt.Sscanf(string(after), "0x%x,0x%x,0x%x,0x%x", &b[0], &b[1], &b[2], &b[3]); n != 4 {
			t.Fatalf("%s: %v", line, err)
		}
		words = append(words, b[0]|b[1]<<8|b[2]<<16|b[3]<<24)
	}
	if len(words) != len(table) {
		t.Fatalf("%d encodings of %d lines:\n%s", len(words), len(table), out)
	}
	for i, e := range table {
		if e.word != words[i] {
			t.Errorf("%s: %08x, LLVM says %08x", e.text, e.word, words[i])
		}
	}
}

// TestBitMask holds the search for masks against the definition: every mask
// that exists is found, and what is found decodes to itself.
func TestBitMask(t *testing.T) {
	masks := map[uint64]bool{}
	for size := uint(2); size <= 64; size *= 2 {
		for ones := uint(1); ones < size; ones++ {
			for rotation := uint(0); rotation < size; rotation++ {
				masks[decodeMask(size, ones, rotation)] = true
			}
		}
	}
	if len(masks) != 5334 { // the number of 64-bit masks that exist
		t.Fatalf("%d masks", len(masks))
	}
	for value := range masks {
		fields, fits := bitMask(value, true)
		if !fits {
			t.Fatalf("%#x is a mask", value)
		}
		n, rotation, imms := fields>>12, uint(fields>>6&63), fields&63
		size := uint(64)
		if n == 0 {
			size = 32
			for imms&uint32(size) != 0 {
				size /= 2
			}
		}
		if got := decodeMask(size, uint(imms&uint32(size-1))+1, rotation); got != value {
			t.Fatalf("%#x encodes as %x, which is %#x", value, fields, got)
		}
		if _, fits := bitMask(value^1<<17, true); fits && !masks[value^1<<17] {
			t.Fatalf("%#x is no mask", value^1<<17)
		}
	}
}

func decodeMask(size, ones, rotation uint) uint64 {
	all := ^uint64(0) >> (64 - size)
	run := uint64(1)<<ones - 1
	element := (run>>rotation | run<<(size-rotation)) & all
	for ; size < 64; size *= 2 {
		element |= element << size
	}
	return element
}
