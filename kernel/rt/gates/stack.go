// Gate F: frames of the compiler summed along the calls of the linked kernel.

package gates

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// StackBytesMax is what a service may use below the thread that calls it. A
// thread's slot has 32 KiB, 4 of them the guard page; 16 are the services',
// the other 12 are for the C frames above them and for the interrupts and the
// fault handling on top of them.
const StackBytesMax = 16 << 10

// indirectBytes stands for a call through a pointer in C code (drivers'
// tables), where the graph ends. In Go code it goes on, see pointers.go.
const indirectBytes = 1 << 10

// Depth is the deepest path from one export.
type Depth struct {
	Export string
	Bytes  uint64
	Path   []string // names with their frames, from the export down

	partial bool // found with part of the graph cut off; not for other paths
}

// frames reads .stack_sizes: an 8-byte address and the frame as ULEB128.
func frames(kernelPath string) (map[uint64]uint64, error) {
	file, err := elf.Open(kernelPath)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out := map[uint64]uint64{}
	for _, section := range file.Sections {
		if section.Name != ".stack_sizes" {
			continue
		}
		data, err := section.Data()
		if err != nil {
			return nil, err
		}
		for len(data) > 8 {
			address := binary.LittleEndian.Uint64(data)
			size, n := binary.Uvarint(data[8:])
			if n <= 0 {
				return nil, fmt.Errorf("%s: .stack_sizes is damaged", kernelPath)
			}
			out[address] = size
			data = data[8+n:]
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no .stack_sizes: compile with -fstack-size-section", kernelPath)
	}
	return out, nil
}

// graph is the call graph of a linked kernel.
type graph struct {
	functions map[string]*function
	frames    map[uint64]uint64
	goCode    map[string]bool // functions that come from the services' object
	taken     []string        // those of them that a pointer can reach
	memo      map[string]Depth
	findings  []Finding
}

// Stack is gate F: the deepest path below each export, and findings for paths
// over the bound, recursion and frames of variable size.
func Stack(kernelPath, servicesPath string, exports []string) ([]Depth, []Finding, error) {
	functions, err := disassemble(kernelPath)
	if err != nil {
		return nil, nil, err
	}
	g := graph{functions: map[string]*function{}, goCode: map[string]bool{}, memo: map[string]Depth{}}
	for i := range functions {
		g.functions[functions[i].name] = &functions[i]
	}
	if g.frames, err = frames(kernelPath); err != nil {
		return nil, nil, err
	}
	if g.taken, err = addressTaken(servicesPath); err != nil {
		return nil, nil, err
	}
	services, _, err := elfSymbols(servicesPath)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range services {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			g.goCode[s.Name] = true
		}
	}
	var depths []Depth
	for _, name := range exports {
		depth := g.walk(name, nil)
		depth.Export = name
		depths = append(depths, depth)
		if depth.Bytes > StackBytesMax {
			g.findings = append(g.findings, Finding{"F", name,
				fmt.Sprintf("%d bytes of stack, %d allowed: %s", depth.Bytes, StackBytesMax, strings.Join(depth.Path, " > "))})
		}
	}
	return depths, g.findings, nil
}

// endsKernel lists C functions behind which nothing returns: their depth is
// not a service's business.
var endsKernel = map[string]bool{"panic": true}

var variableFrame = regexp.MustCompile(`^sp, (sp, )?[xw]([0-9]|1[0-9]|2[0-8])\b`)

func (g *graph) walk(name string, above []string) Depth {
	if known, ok := g.memo[name]; ok {
		return known
	}
	f := g.functions[name]
	if f == nil || endsKernel[name] {
		return Depth{}
	}
	for _, caller := range above {
		if caller == name {
			if g.goCode[name] {
				g.findings = append(g.findings, Finding{"F", name, "recursion: " + strings.Join(append(above, name), " > ")})
			}
			return Depth{}
		}
	}
	above = append(above, name)
	own := g.frame(f)
	var deepest Depth
	partial := false
	for i, l := range f.lines {
		if l.mnemonic == "br" && !jumpTable(f.lines[:i], l.operands) {
			l.mnemonic = "blr" // a tail call through a pointer
		}
		below, called := g.below(f, l, above)
		partial = partial || below.partial
		if called && below.Bytes > deepest.Bytes {
			deepest = below
		}
	}
	depth := Depth{Bytes: own + deepest.Bytes, partial: partial}
	depth.Path = append([]string{fmt.Sprintf("%s %d", name, own)}, deepest.Path...)
	if !partial {
		g.memo[name] = depth
	}
	return depth
}

// jumpTable tells a switch from a tail call through a pointer: the compiler
// makes the address of a switch's branch with adr, a few lines above it.
func jumpTable(before []line, register string) bool {
	for i := len(before) - 1; i >= 0 && i >= len(before)-6; i-- {
		if before[i].mnemonic == "adr" && strings.HasPrefix(before[i].operands, register+",") {
			return true
		}
	}
	return false
}

// below is what one instruction adds: the depth of what it calls.
func (g *graph) below(f *function, l line, above []string) (Depth, bool) {
	switch {
	case l.mnemonic == "blr":
		if g.goCode[f.name] {
			return g.throughPointer(fmt.Sprintf("%s+%#x", f.name, l.address-f.address), above)
		}
		return Depth{Bytes: indirectBytes, Path: []string{fmt.Sprintf("(pointer) %d", indirectBytes)}}, true
	case l.mnemonic == "bl", l.mnemonic == "b" && l.target != f.name:
		return g.walk(l.target, above), true
	case (l.mnemonic == "sub" || l.mnemonic == "mov") && g.goCode[f.name] && variableFrame.MatchString(l.operands) &&
		!strings.HasPrefix(l.operands, "sp, x29"):
		g.findings = append(g.findings, Finding{"F", f.name, "a frame of variable size: " + l.mnemonic + " " + l.operands})
	}
	return Depth{}, false
}

var pushPattern = regexp.MustCompile(`\[sp, #-(0x[0-9a-f]+)\]!`)
var subtractPattern = regexp.MustCompile(`^sp, sp, #(0x[0-9a-f]+)(?:, lsl #(12))?$`)

// frame is the function's own stack; assembly has no entry in .stack_sizes, so
// what it takes off the stack pointer is summed.
func (g *graph) frame(f *function) uint64 {
	if size, ok := g.frames[f.address]; ok {
		return size
	}
	var sum uint64
	for _, l := range f.lines {
		if m := pushPattern.FindStringSubmatch(l.operands); m != nil {
			n, _ := strconv.ParseUint(m[1], 0, 64)
			sum += n
		}
		if m := subtractPattern.FindStringSubmatch(l.operands); m != nil && l.mnemonic == "sub" {
			n, _ := strconv.ParseUint(m[1], 0, 64)
			if m[2] != "" {
				n <<= 12
			}
			sum += n
		}
	}
	return sum
}

// ExportsOf reads the exports of a folder of Go files, tests left out.
func ExportsOf(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".go") && !strings.HasSuffix(entry.Name(), "_test.go") {
			paths = append(paths, directory+"/"+entry.Name())
		}
	}
	return Exports(paths)
}
