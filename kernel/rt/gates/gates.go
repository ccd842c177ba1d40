// Package gates holds what must be true of the Go half of the kernel before an
// image counts as built. Each gate returns findings, one line each with a place
// a reader can open; none is an opinion. kernel.mk runs them by cmd/gates, and
// gates_test.go plants a violation of each to show that it can fail.
//
//	A  no heap: every export is forced into the link, where runtime.alloc has
//	   no definition; here: nobody supplied one, and no export got lost
//	B  no runtime state: no data or bss symbol of runtime, internal or sync
//	C  no floating point or SIMD register in the code of the services
//	D  no construct that needs a scheduler, a heap or a runtime in the source
//	E  the host's view: go vet, and zero allocations per run in every package
//	F  stack: the deepest path from each export, frames summed over the calls
package gates

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
)

// Finding is one violation.
type Finding struct {
	Gate  string // "A" to "F"
	Place string // file:line, or a symbol
	Text  string
}

func (f Finding) String() string { return fmt.Sprintf("gate %s: %s: %s", f.Gate, f.Place, f.Text) }

// heapSymbols must stay undefined, or allocation would link.
var heapSymbols = map[string]bool{"runtime.alloc": true, "runtime.realloc": true, "malloc": true, "calloc": true}

// Heap is what gate A can say about a linked kernel: the link itself was the
// test, so nobody may have supplied an allocator, and every export must be there.
func Heap(kernelPath string, exports []string) ([]Finding, error) {
	if len(exports) == 0 {
		return nil, fmt.Errorf("gate A: no exports to look for")
	}
	symbols, _, err := elfSymbols(kernelPath)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	defined := map[string]bool{}
	for _, s := range symbols {
		defined[s.Name] = true
		if heapSymbols[s.Name] {
			findings = append(findings, Finding{"A", s.Name, "an allocator is linked; heap use would no longer be an error"})
		}
	}
	for _, name := range exports {
		if !defined[name] {
			findings = append(findings, Finding{"A", name, "this export is not in the image, so nothing it reaches was checked"})
		}
	}
	return findings, nil
}

// RuntimeState is gate B.
func RuntimeState(kernelPath string) ([]Finding, error) {
	symbols, sections, err := elfSymbols(kernelPath)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, s := range symbols {
		if int(s.Section) >= len(sections) || sections[s.Section].Flags&elf.SHF_WRITE == 0 {
			continue
		}
		for _, prefix := range []string{"runtime.", "runtime/", "internal/", "sync.", "sync/"} {
			if strings.HasPrefix(s.Name, prefix) {
				findings = append(findings, Finding{"B", s.Name,
					fmt.Sprintf("%d bytes of runtime state in %s", s.Size, sections[s.Section].Name)})
			}
		}
	}
	return findings, nil
}

// Exports reads the names behind //export in Go sources.
func Exports(paths []string) ([]string, error) {
	var names []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "//export "); ok {
				names = append(names, strings.TrimSpace(name))
			}
		}
	}
	return names, nil
}

// elfSymbols returns the defined symbols and the sections they lie in.
func elfSymbols(path string) ([]elf.Symbol, []*elf.Section, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	all, err := file.Symbols()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	var defined []elf.Symbol
	for _, s := range all {
		if s.Section != elf.SHN_UNDEF {
			defined = append(defined, s)
		}
	}
	return defined, file.Sections, nil
}
