package fuzz

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/elf"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Targets that parse: bytes, text, objects. An input is made from a good one
// by a few changes, and the parser must refuse it or read it faithfully.

// inputBytesMax bounds what a parser target is given.
const inputBytesMax = 4096

// parser makes a target of an input maker and one check, which returns whether
// the input was accepted and, if something is wrong, the oracle and details.
func parser(make func(*Source, []byte) []byte, check func([]byte) (accepted bool, oracle, detail string)) func(context.Context, Options, *Result) {
	return func(ctx context.Context, o Options, result *Result) {
		var source Source
		buffer := [inputBytesMax]byte{}
		accepted := uint64(0)
		for ctx.Err() == nil && (o.ProgramsMax == 0 || result.Programs < o.ProgramsMax) {
			source.ResetSeed(ProgramSeed(o.Seed, result.Programs))
			input := make(&source, buffer[:0])
			ok, oracle, detail := guarded(check, input)
			result.Programs++
			result.Execs++
			if ok {
				accepted++
			}
			if oracle == "" {
				continue
			}
			repro := fmt.Sprintf("seed %d input %d\n%s", o.Seed, result.Programs-1, hex.EncodeToString(input))
			result.Findings = append(result.Findings, Finding{Oracle: oracle, Detail: detail, Repro: repro})
			if len(result.Findings) >= o.FindingsMax {
				break
			}
		}
		if result.Programs > 0 {
			result.AcceptedShare = float64(accepted) / float64(result.Programs)
		}
	}
}

// guarded turns a panic of the parser into a finding.
func guarded(check func([]byte) (bool, string, string), input []byte) (accepted bool, oracle, detail string) {
	defer func() {
		if r := recover(); r != nil {
			accepted, oracle, detail = false, OraclePanic, fmt.Sprint(r)
		}
	}()
	return check(input)
}

// goodProgram is a generated one, as bytes.
func goodProgram(source *Source, out []byte) []byte {
	var generator Generator
	var slots [generateSlotsMax]bpf.Instruction
	count := generator.Generate(source, slots[:])
	wire := out[:count*bpf.SlotBytes]
	bpf.Encode(slots[:count], wire)
	return wire
}

// damage changes, cuts or doubles a few places.
func damage(source *Source, input []byte) []byte {
	for times := source.Below(4); times > 0 && len(input) > 0; times-- {
		at := source.Below(len(input))
		switch source.Below(5) {
		case 0:
			input[at] ^= 1 << source.Below(8)
		case 1:
			input[at] = byte(source.Uint64())
		case 2:
			input = input[:at]
		case 3:
			input[at] = [...]byte{0, 0xff, 0x7f, '\n', ' ', '0', ')'}[source.Below(7)]
		default:
			n := min(source.Below(16), cap(input)-len(input), len(input)-at)
			input = append(input, input[at:at+n]...)
		}
	}
	return input
}

func decodeInput(source *Source, out []byte) []byte { return damage(source, goodProgram(source, out)) }

func oneDecode(wire []byte) (bool, string, string) {
	slots := make([]bpf.Instruction, inputBytesMax/bpf.SlotBytes)
	count, _, code := bpf.Decode(wire, slots)
	if code != abi.OK {
		return false, "", ""
	}
	again := make([]byte, len(wire))
	if n, code := bpf.Encode(slots[:count], again); code != abi.OK || !bytes.Equal(again[:n], wire) {
		return true, OracleRoundTrip, "encode(decode(bytes)) differs"
	}
	if detail := roundTrip(slots[:count]); detail != "" {
		return true, OracleRoundTrip, detail
	}
	return true, "", ""
}

// roundTrip prints and reads back; what it returns is empty if all is well.
func roundTrip(slots []bpf.Instruction) string {
	text := make([]byte, 96*len(slots))
	n, _, code := bpf.Disassemble(slots, text)
	if code != abi.OK {
		return fmt.Sprintf("does not print: %v", code)
	}
	back := make([]bpf.Instruction, len(slots)+1)
	count, place, code := bpf.Assemble(text[:n], back)
	if code != abi.OK || count != len(slots) {
		return fmt.Sprintf("prints as text that does not read back: %v at line %d column %d", code, place.Line, place.Column)
	}
	for index := range slots {
		if slots[index] != back[index] {
			return fmt.Sprintf("slot %d reads back as %+v, was %+v", index, back[index], slots[index])
		}
	}
	return ""
}

func assembleInput(source *Source, out []byte) []byte {
	wire := goodProgram(source, make([]byte, 0, inputBytesMax))
	slots := make([]bpf.Instruction, generateSlotsMax)
	count, _, _ := bpf.Decode(wire, slots)
	n, _, _ := bpf.Disassemble(slots[:count], out[:inputBytesMax])
	return damage(source, out[:n])
}

func oneAssemble(text []byte) (bool, string, string) {
	slots := make([]bpf.Instruction, inputBytesMax)
	count, place, code := bpf.Assemble(text, slots)
	if code != abi.OK {
		if place.Line < 1 || place.Column < 1 || int(place.Line) > bytes.Count(text, []byte("\n"))+1 {
			return false, OracleRoundTrip, fmt.Sprintf("error placed at %d:%d", place.Line, place.Column)
		}
		return false, "", ""
	}
	for index := 0; index < count; {
		width, code := bpf.CheckSlot(slots[:count], index)
		if code != abi.OK {
			return true, OracleRoundTrip, fmt.Sprintf("assembled slot %d is not sound: %v", index, code)
		}
		index += width
	}
	if detail := roundTrip(slots[:count]); detail != "" {
		return true, OracleRoundTrip, detail
	}
	return true, "", ""
}

func elfInput(source *Source, out []byte) []byte {
	var code [generateSlotsMax * bpf.SlotBytes]byte
	return damage(source, smallObject(goodProgram(source, code[:0]), out))
}

func oneELF(object []byte) (bool, string, string) {
	programs, err := elf.Read(object)
	if (err == nil) != (len(programs) > 0) {
		return false, OracleRoundTrip, fmt.Sprintf("%d programs and error %v", len(programs), err)
	}
	for _, program := range programs {
		for index := 0; index < len(program.Instructions); {
			width, code := bpf.CheckSlot(program.Instructions, index)
			if code != abi.OK {
				return true, OracleRoundTrip, fmt.Sprintf("instruction %d of %q is not sound: %v", index, program.Name, code)
			}
			index += width
		}
	}
	return err == nil, "", ""
}
