// Gate C, and the disassembly that gates C and F read.

package gates

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// function is one function as the disassembler shows it.
type function struct {
	name    string
	address uint64
	lines   []line
}

type line struct {
	address  uint64
	mnemonic string
	operands string // symbol annotations cut off
	target   string // annotation of a branch: the symbol it names, without offset
	inside   bool   // the target is not the symbol's first instruction
}

var (
	headPattern = regexp.MustCompile(`^([0-9a-f]+) <(.*)>:$`)
	linePattern = regexp.MustCompile(`^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$`)
	// <name> or <name+0x10>; Go names contain neither '<' nor '>'.
	targetPattern = regexp.MustCompile(`<([^<>]*?)(\+0x[0-9a-f]+)?>`)
)

// disassemble runs llvm-objdump over an ELF file.
func disassemble(path string) ([]function, error) {
	command := exec.Command("llvm-objdump-19", "-d", "--no-show-raw-insn", path)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("llvm-objdump-19 %s: %w %s", path, err, stderr.String())
	}
	var functions []function
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		text := scanner.Text()
		if m := headPattern.FindStringSubmatch(text); m != nil {
			address, _ := strconv.ParseUint(m[1], 16, 64)
			functions = append(functions, function{name: m[2], address: address})
			continue
		}
		m := linePattern.FindStringSubmatch(text)
		if m == nil || len(functions) == 0 {
			continue
		}
		address, _ := strconv.ParseUint(m[1], 16, 64)
		l := line{address: address, mnemonic: m[2], operands: m[3]}
		if t := targetPattern.FindStringSubmatch(l.operands); t != nil {
			l.target, l.inside = t[1], t[2] != ""
		}
		l.operands = strings.TrimSpace(targetPattern.ReplaceAllString(l.operands, ""))
		last := &functions[len(functions)-1]
		last.lines = append(last.lines, l)
	}
	if len(functions) == 0 {
		return nil, fmt.Errorf("%s: no code to look at", path)
	}
	return functions, scanner.Err()
}

// vectorRegister matches b0 to q31 and v0.16b; immediates carry 0x or #.
var vectorRegister = regexp.MustCompile(`(^|[\s,{\[])[bhsdqv]([0-9]|[12][0-9]|3[01])(\.[0-9]*[bhsd])?($|[\s,}\]\[])`)

// FloatingPoint is gate C over an object of the services.
func FloatingPoint(objectPath string) ([]Finding, error) {
	functions, err := disassemble(objectPath)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, f := range functions {
		for _, l := range f.lines {
			if vectorRegister.MatchString(l.operands) {
				findings = append(findings, Finding{"C", fmt.Sprintf("%s+%#x", f.name, l.address-f.address), l.mnemonic + " " + l.operands})
				break // one line per function is enough to find it
			}
		}
	}
	return findings, nil
}
