package main

import (
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// explainFault makes a paragraph of a fault record: where, what is wrong, what
// to do. The kernel only ever sends the record.
func explainFault(fault verify.Fault, instructions []bpf.Instruction) *verifyError {
	explained := &verifyError{Code: fault.Code.String(), Insn: fault.Instruction, Register: fault.Register, Wanted: fault.Wanted, Found: fault.Found}
	place := ""
	if fault.Instruction >= 0 && int(fault.Instruction) < len(instructions) {
		place = fmt.Sprintf("instruction %d", fault.Instruction)
		if _, code := bpf.CheckSlot(instructions, int(fault.Instruction)); code == abi.OK {
			var line [128]byte
			n := bpf.DisassembleOne(instructions, int(fault.Instruction), line[:])
			place += fmt.Sprintf(" (%s)", line[:n])
		}
		place += ": "
	}
	explained.Text = place + faultReason(fault)
	return explained
}

// kindNames says what a register holds, in the words of the explanations.
var kindNames = map[verify.Kind]string{
	verify.KindNone: "nothing", verify.KindScalar: "a number", verify.KindContext: "the context pointer",
	verify.KindPacket: "a packet pointer", verify.KindPacketEnd: "the packet's end", verify.KindStack: "a stack pointer",
}

func kindName(value uint64) string {
	if name, ok := kindNames[verify.Kind(value)]; ok && value <= 255 {
		return name
	}
	return fmt.Sprintf("%d", value)
}

// faultReason is a dispatch table over codes.
func faultReason(f verify.Fault) string {
	switch f.Code {
	case abi.ErrUninitialised:
		return fmt.Sprintf("reads r%d or the stack behind it before anything was written there; write it on every path that leads here", f.Register)
	case abi.ErrBadPointer:
		return fmt.Sprintf("r%d holds %s and is used as an address; load a pointer from the context first", f.Register, kindName(f.Found))
	case abi.ErrPacketBounds:
		return fmt.Sprintf("reaches byte %d from r%d's base, and only %d are known to be in the packet; compare a pointer behind the last byte with data_end on this path", f.Wanted, f.Register, f.Found)
	case abi.ErrPointerMath:
		return fmt.Sprintf("r%d: this arithmetic is not allowed on a pointer; add or subtract numbers below %d only", f.Register, 1<<29)
	case abi.ErrContextAccess:
		return fmt.Sprintf("offset %d of the context is not readable this way; fields are 4 bytes, aligned, and depend on the program type", f.Found)
	case abi.ErrStackAccess:
		return fmt.Sprintf("r%d: outside the 512 bytes below r10, or overwrites part of a saved pointer", f.Register)
	case abi.ErrMisaligned:
		return fmt.Sprintf("stack access of %d bytes at r10-%d is not aligned", f.Wanted, f.Found)
	case abi.ErrReadOnly:
		return "writes to the context, which is read-only"
	case abi.ErrLeak:
		return fmt.Sprintf("r%d: a pointer would become a number or leave the program; --rules lenient allows some of this", f.Register)
	case abi.ErrReturnValue:
		return fmt.Sprintf("r0 may be %d at exit; the hook knows 0 to %d", f.Found, f.Wanted)
	case abi.ErrDivideByZero:
		return "divides by the constant 0"
	case abi.ErrShiftRange:
		return fmt.Sprintf("shifts by %d, the width is %d", f.Found, f.Wanted)
	case abi.ErrComplexity:
		return "too many paths: the budget of instructions or states was used up; simplify the branches"
	}
	return shapeReason(f)
}

// shapeReason is the part of the table that analyze decides.
func shapeReason(f verify.Fault) string {
	switch f.Code {
	case abi.ErrEmpty:
		return "the program has no instructions"
	case abi.ErrTooLong:
		return fmt.Sprintf("longer than the %d slots this hook takes", verify.MaxSlots)
	case abi.ErrBadOpcode:
		return "unknown opcode, or a reserved field is not zero"
	case abi.ErrBadRegister:
		return "register above r10, or a write to r10, which is read-only"
	case abi.ErrJumpOutside:
		return "jumps out of the program or into the second half of a wide load"
	case abi.ErrBackEdge:
		return "jumps backwards; loops are refused"
	case abi.ErrUnreachable:
		return "no path leads here; remove it"
	case abi.ErrFallsThrough:
		return "a path runs off the end; end it with exit"
	case abi.ErrCostBound:
		return fmt.Sprintf("the longest path has %d instructions, more than the hook's budget", f.Instruction)
	case abi.ErrStackBound:
		return "outside the 512 bytes below r10"
	case abi.ErrUnknownHelper:
		return "this hook offers no such helper"
	case abi.ErrUnsupported:
		return "not supported yet (maps, local calls, atomics, classic packet loads)"
	}
	return f.Code.String()
}
