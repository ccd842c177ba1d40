// Package elf reads programs out of the objects that clang makes of C, on the
// host only: the kernel takes bytecode. It knows executable sections with one
// or several functions and no relocations; maps, global data and calls between
// functions are refused with the place where they are used.
//
// Nothing in an object is believed: sizes, offsets, symbols and relocations
// are checked against the bytes there are.
package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
)

// Bounds on what an object may hold; a filter's object has a few kB.
const (
	objectBytesMax  = 16 << 20
	sectionsMax     = 4096
	programsMax     = 1024
	programSlotsMax = 1 << 16
	symbolsMax      = 1 << 16
)

// Program is one function of an executable section.
type Program struct {
	Section      string
	Name         string
	Offset       uint64            // in the section
	Instructions []bpf.Instruction // every jump forward, where that can be
	Written      []bpf.Instruction // as the object has it
}

// PlaceError says where in the object something is wrong.
type PlaceError struct {
	Section string // empty: the file as a whole
	Offset  uint64
	Reason  string
}

func (e *PlaceError) Error() string {
	if e.Section == "" {
		return "object: " + e.Reason
	}
	return fmt.Sprintf("section %q at %#x: %s", e.Section, e.Offset, e.Reason)
}

func whole(format string, a ...any) error {
	return &PlaceError{Reason: fmt.Sprintf(format, a...)}
}

func at(section string, offset uint64, format string, a ...any) error {
	return &PlaceError{Section: section, Offset: offset, Reason: fmt.Sprintf(format, a...)}
}

// TypeOf tells by which rules the programs of a section are judged: "xdp" and
// "xdp/NAME" are XDP, "net.rx" and "net.rx/NAME" our hook.
func TypeOf(section string) (kind bpf.Type, known bool) {
	name, _, _ := strings.Cut(section, "/")
	switch name {
	case "xdp", "xdp.frags":
		return bpf.TypeXDP, true
	case "net.rx":
		return bpf.TypeHook, true
	}
	return 0, false
}

// Read returns the programs of an object in the order of sections and offsets.
func Read(object []byte) (programs []Program, err error) {
	if len(object) > objectBytesMax {
		return nil, whole("%d bytes, at most %d are read", len(object), objectBytesMax)
	}
	// Said first: read in the wrong byte order, all that follows is nonsense.
	if bytes.HasPrefix(object, []byte(elf.ELFMAG)) && len(object) > elf.EI_DATA {
		class, order := elf.Class(object[elf.EI_CLASS]), elf.Data(object[elf.EI_DATA])
		if class != elf.ELFCLASS64 || order != elf.ELFDATA2LSB {
			return nil, whole("%v %v, want 64-bit little-endian", class, order)
		}
	}
	// The standard library's reader is meant for files a compiler made: should
	// a hostile one make it panic, that too is a refusal.
	defer func() {
		if r := recover(); r != nil {
			programs, err = nil, whole("the ELF structure contradicts itself (%v)", r)
		}
	}()
	file, err := elf.NewFile(bytes.NewReader(object))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, whole("its %d bytes end before its headers do: it is cut short, or no ELF object", len(object))
	}
	if err != nil {
		return nil, whole("%v", err)
	}
	if file.Machine != elf.EM_BPF || file.Type != elf.ET_REL {
		return nil, whole("machine %v, type %v; want a relocatable EM_BPF object", file.Machine, file.Type)
	}
	if len(file.Sections) > sectionsMax {
		return nil, whole("%d sections, at most %d", len(file.Sections), sectionsMax)
	}
	symbols, err := file.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, whole("symbols: %v", err)
	}
	if len(symbols) > symbolsMax {
		return nil, whole("%d symbols, at most %d", len(symbols), symbolsMax)
	}
	for index, section := range file.Sections {
		if section.Type != elf.SHT_PROGBITS || section.Flags&elf.SHF_EXECINSTR == 0 || section.Size == 0 {
			continue
		}
		found, err := readSection(file, index, symbols, uint64(len(object)))
		if err != nil {
			return nil, err
		}
		programs = append(programs, found...)
		if len(programs) > programsMax {
			return nil, whole("more than %d programs", programsMax)
		}
	}
	if len(programs) == 0 {
		return nil, whole("no program: no executable section holds a function")
	}
	return programs, nil
}

// readSection splits one executable section into its functions.
func readSection(file *elf.File, index int, symbols []elf.Symbol, fileBytes uint64) ([]Program, error) {
	section := file.Sections[index]
	if section.Flags&elf.SHF_COMPRESSED != 0 {
		return nil, at(section.Name, 0, "compressed code")
	}
	if section.FileSize > fileBytes || section.Size != section.FileSize {
		return nil, at(section.Name, 0, "%d bytes of code in a file of %d", section.Size, fileBytes)
	}
	if section.Size%bpf.SlotBytes != 0 {
		return nil, at(section.Name, section.Size, "%d bytes are not whole instructions", section.Size)
	}
	code := make([]byte, section.Size)
	if _, err := io.ReadFull(section.Open(), code); err != nil {
		return nil, at(section.Name, 0, "the section ends before its %d bytes (%v)", section.Size, err)
	}
	if err := refuseRelocations(file, index, symbols, fileBytes); err != nil {
		return nil, err
	}
	functions := functionsOf(index, symbols)
	var programs []Program
	end := uint64(0)
	for _, function := range functions {
		if function.Value < end || function.Value > section.Size || function.Size > section.Size-function.Value {
			return nil, at(section.Name, function.Value, "function %q of %d bytes overlaps another or leaves the section", function.Name, function.Size)
		}
		if function.Size == 0 || function.Value%bpf.SlotBytes != 0 || function.Size/bpf.SlotBytes > programSlotsMax {
			return nil, at(section.Name, function.Value, "function %q has an odd place or size (%d bytes)", function.Name, function.Size)
		}
		end = function.Value + function.Size
		instructions := make([]bpf.Instruction, function.Size/bpf.SlotBytes)
		count, place, code := bpf.Decode(code[function.Value:end], instructions)
		if code != abi.OK {
			offset := function.Value + uint64(place.Instruction)*bpf.SlotBytes
			return nil, at(section.Name, offset, "function %q: instruction %d: %v", function.Name, place.Instruction, code)
		}
		programs = append(programs, Program{section.Name, function.Name, function.Value, straighten(instructions[:count]), instructions[:count]})
	}
	return programs, nil
}

// functionsOf lists the functions of a section by offset.
func functionsOf(index int, symbols []elf.Symbol) []elf.Symbol {
	var functions []elf.Symbol
	for _, symbol := range symbols {
		if int(symbol.Section) == index && elf.ST_TYPE(symbol.Info) == elf.STT_FUNC {
			functions = append(functions, symbol)
		}
	}
	sort.SliceStable(functions, func(i, j int) bool { return functions[i].Value < functions[j].Value })
	return functions
}

// relocationBytes is the size of Elf64_Rel: offset, then type (low 32) and symbol.
const relocationBytes = 16

// relocationsWithAddends is a kind of table that compilers do not make for BPF.
const relocationsWithAddends elf.SectionType = 4

// refuseRelocations looks for relocations of a code section. What they would
// bring in (maps, data, other functions) is not loaded, so the code that uses
// it cannot be run as it stands.
func refuseRelocations(file *elf.File, index int, symbols []elf.Symbol, fileBytes uint64) error {
	for _, section := range file.Sections {
		if section.Type != elf.SHT_REL && section.Type != relocationsWithAddends || int(section.Info) != index || section.Size == 0 {
			continue
		}
		target := file.Sections[index].Name
		if section.Type == relocationsWithAddends || section.Size%relocationBytes != 0 || section.FileSize > fileBytes || section.Size != section.FileSize {
			return at(section.Name, 0, "a relocation table this loader does not know")
		}
		table := make([]byte, section.Size)
		if _, err := io.ReadFull(section.Open(), table); err != nil {
			return at(section.Name, 0, "the table ends before its %d bytes (%v)", section.Size, err)
		}
		offset, info := binary.LittleEndian.Uint64(table), binary.LittleEndian.Uint64(table[8:])
		name := "?"
		if number := info >> 32; number >= 1 && number <= uint64(len(symbols)) {
			name = symbols[number-1].Name
		}
		return at(target, offset, "needs %q (relocation type %d): maps, global data and calls between functions are not loaded yet", name, uint32(info))
	}
	return nil
}
