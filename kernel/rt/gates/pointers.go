// Gate F's answer to calls through pointers: which functions they can reach.

package gates

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
)

// addressTaken lists the functions of an object whose address is stored or
// computed somewhere: what a call through a pointer can reach. It reads the
// relocations, where a branch has a type of its own.
func addressTaken(objectPath string) ([]string, error) {
	file, err := elf.Open(objectPath)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	type start struct {
		section elf.SectionIndex
		value   uint64
	}
	functions := map[start]string{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			functions[start{s.Section, s.Value}] = s.Name
		}
	}
	taken := map[string]bool{}
	for _, section := range file.Sections {
		if section.Type != elf.SHT_RELA || int(section.Info) >= len(file.Sections) ||
			file.Sections[section.Info].Flags&elf.SHF_ALLOC == 0 || strings.HasPrefix(section.Name, ".rela.eh_frame") {
			continue // debug information names every function and calls none
		}
		data, err := section.Data()
		if err != nil {
			return nil, err
		}
		for ; len(data) >= 24; data = data[24:] {
			info := binary.LittleEndian.Uint64(data[8:])
			index, kind := int(info>>32), elf.R_AARCH64(info&0xffffffff)
			if index == 0 || index > len(symbols) {
				continue
			}
			switch kind {
			case elf.R_AARCH64_ABS64, elf.R_AARCH64_ADR_PREL_PG_HI21, elf.R_AARCH64_ADR_PREL_LO21:
				s := symbols[index-1]
				if name, ok := functions[start{s.Section, s.Value + binary.LittleEndian.Uint64(data[16:])}]; ok {
					taken[name] = true
				}
			}
		}
	}
	names := make([]string, 0, len(taken))
	for name := range taken {
		names = append(names, name)
	}
	sort.Strings(names)
	return names, nil
}

// throughPointer is what a call through a pointer in Go code may cost: the
// deepest of all functions it could reach. Those already on the path are left
// out: the tables here hold operators that call no table again, and recursion
// without a pointer is a finding of its own.
func (g *graph) throughPointer(place string, above []string) (Depth, bool) {
	if len(g.taken) == 0 {
		g.findings = append(g.findings, Finding{"F", place, "a call through a pointer, and no function whose address is taken: its depth cannot be known"})
		return Depth{}, false
	}
	deepest := Depth{partial: true}
	for _, name := range g.taken {
		onPath := false
		for _, caller := range above {
			onPath = onPath || caller == name
		}
		if onPath {
			continue
		}
		if depth := g.walk(name, above); depth.Bytes > deepest.Bytes {
			deepest.Bytes = depth.Bytes
			deepest.Path = append([]string{fmt.Sprintf("(pointer, %d candidates)", len(g.taken))}, depth.Path...)
		}
	}
	return deepest, true
}
