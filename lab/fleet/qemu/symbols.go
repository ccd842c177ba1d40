package qemu

import (
	"debug/elf"
	"fmt"
	"regexp"
	"sort"
	"strconv"
)

// programCounter is where a CPU stands, in the words of "info registers".
var programCounter = regexp.MustCompile(`\bPC=([0-9a-f]{16})`)

// nameCounters adds, behind each program counter, the function it lies in.
// Without symbols the text stays as it is.
func nameCounters(registers, symbolsFile string) string {
	if symbolsFile == "" {
		return registers
	}
	functions, err := readFunctions(symbolsFile)
	if err != nil {
		return registers
	}
	return programCounter.ReplaceAllStringFunc(registers, func(text string) string {
		address, err := strconv.ParseUint(text[len("PC="):], 16, 64)
		if err != nil {
			return text
		}
		after := sort.Search(len(functions), func(i int) bool { return functions[i].Value > address })
		if after == 0 {
			return text
		}
		function := functions[after-1]
		if function.Size > 0 && address >= function.Value+function.Size {
			return text
		}
		return fmt.Sprintf("%s (%s+%#x)", text, function.Name, address-function.Value)
	})
}

// readFunctions returns the functions of an ELF file by address.
func readFunctions(path string) ([]elf.Symbol, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	var functions []elf.Symbol
	for _, symbol := range symbols {
		if elf.ST_TYPE(symbol.Info) == elf.STT_FUNC {
			functions = append(functions, symbol)
		}
	}
	sort.Slice(functions, func(i, j int) bool { return functions[i].Value < functions[j].Value })
	return functions, nil
}
