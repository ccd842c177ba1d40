package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Programs as files: text, hexadecimal, raw bytes. Shared by asm, disasm,
// verify and bpf.

// programFileBytesMax bounds what is read of a file or of stdin.
const programFileBytesMax = 16 << 20

// programSlotsMax is how long a program the tools translate; the verifier has
// a lower limit of its own.
const programSlotsMax = 1 << 16

// readInput reads a file, or stdin for "-" and "".
func readInput(e *env, path string) ([]byte, error) {
	from := e.stdin
	if path != "" && path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usage("%w", err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, programFileBytesMax+1))
	if errors.Is(err, syscall.EISDIR) {
		return nil, usage("%s is a folder: give a file", inputName(path))
	}
	if err != nil {
		return nil, infra("reading %s: %w", inputName(path), err)
	}
	if len(data) > programFileBytesMax {
		return nil, fail("%s: larger than %d bytes", inputName(path), programFileBytesMax)
	}
	return data, nil
}

func inputName(path string) string {
	if path == "" || path == "-" {
		return "stdin"
	}
	return path
}

// assembleText translates text and says file, line and column of an error.
func assembleText(name string, text []byte) ([]bpf.Instruction, error) {
	out := make([]bpf.Instruction, min(programSlotsMax, len(text)+1))
	labels := make([]bpf.Label, 4096)
	count, place, code := bpf.AssembleWith(text, out, labels)
	if code != abi.OK {
		return nil, fail("%s:%d:%d: %s\n\t%s", name, place.Line, place.Column, assemblyProblem(code), lineOf(text, place.Line))
	}
	return out[:count], nil
}

// assemblyProblem says what to mend.
func assemblyProblem(code abi.Code) string {
	switch code {
	case abi.ErrSyntax:
		return "this is not an instruction; write for example `r1 = *(u32 *)(r2 + 4)`, `if r1 > 5 goto LABEL` or `exit`"
	case abi.ErrUnknownName:
		return "unknown label or operation"
	case abi.ErrRange:
		return "the number does not fit its field"
	case abi.ErrBadRegister:
		return "registers are r0 to r10 and w0 to w10"
	case abi.ErrBadValue:
		return "this label exists already"
	case abi.ErrEmpty:
		return "no instruction in the text"
	case abi.ErrNoSpace:
		return "too many labels"
	case abi.ErrTooLong:
		return "too many instructions"
	}
	return code.String()
}

func lineOf(text []byte, line int32) string {
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || int(line) > len(lines) {
		return ""
	}
	return strings.TrimSpace(string(lines[line-1]))
}

// decodeWire reads raw bytes or hexadecimal (with blanks, any case, or 0x).
func decodeWire(name string, data []byte) ([]bpf.Instruction, error) {
	wire := data
	if decoded, ok := fromHexadecimal(data); ok {
		wire = decoded
	}
	out := make([]bpf.Instruction, len(wire)/bpf.SlotBytes+1)
	count, place, code := bpf.Decode(wire, out)
	if code != abi.OK {
		return nil, fail("%s: instruction %d (byte %d): %s", name, place.Instruction, place.Instruction*bpf.SlotBytes, wireProblem(code, wire))
	}
	return out[:count], nil
}

func wireProblem(code abi.Code, wire []byte) string {
	switch code {
	case abi.ErrTruncated:
		return fmt.Sprintf("%d bytes are not whole instructions of 8", len(wire))
	case abi.ErrEmpty:
		return "no program"
	case abi.ErrBadOpcode:
		return "unknown opcode, or a reserved field is not zero (RFC 9669)"
	case abi.ErrBadRegister:
		return "register above r10"
	}
	return code.String()
}

// fromHexadecimal reads text that consists of hexadecimal digits and blanks only.
func fromHexadecimal(data []byte) ([]byte, bool) {
	text := strings.Join(strings.Fields(string(data)), "")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
	decoded, err := hex.DecodeString(text)
	return decoded, err == nil
}

// wireBytes is the program in wire format.
func wireBytes(instructions []bpf.Instruction) []byte {
	wire := make([]byte, len(instructions)*bpf.SlotBytes)
	bpf.Encode(instructions, wire)
	return wire
}

// programText prints instructions; they were decoded or assembled, so they are sound.
func programText(instructions []bpf.Instruction) string {
	out := make([]byte, 96*len(instructions))
	n, _, _ := bpf.Disassemble(instructions, out)
	return string(out[:n])
}

func digestText(instructions []bpf.Instruction) string {
	digest := bpf.Digest(instructions)
	return hex.EncodeToString(digest[:])
}
