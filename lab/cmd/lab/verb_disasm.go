package main

import (
	"bytes"

	"github.com/kingly-os/go-kernel/kernel/elf"
)

// disasmVerb turns bytes into eBPF text.
type disasmVerb struct {
	File string `arg:"" optional:"" help:"Raw bytes, hexadecimal or an ELF object; stdin if absent or '-'."`
}

func (disasmVerb) Help() string {
	return "Example:\n\n  lab asm filter.s | lab disasm\n  lab disasm filter.o"
}

// listing is one program in the document.
type listing struct {
	Section string `json:"section,omitempty"`
	Name    string `json:"name,omitempty"`
	Slots   int    `json:"slots"`
	Digest  string `json:"digest"`
	Text    string `json:"text"`
}

func (v *disasmVerb) Run(e *env) error {
	data, err := readInput(e, v.File)
	if err != nil {
		return err
	}
	listings := []listing{}
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		programs, err := elf.Read(data)
		if err != nil {
			return fail("%s: %w", inputName(v.File), err)
		}
		for _, p := range programs {
			listings = append(listings, listing{p.Section, p.Name, len(p.Instructions), digestText(p.Instructions), programText(p.Instructions)})
		}
	} else {
		instructions, err := decodeWire(inputName(v.File), data)
		if err != nil {
			return err
		}
		listings = append(listings, listing{"", "", len(instructions), digestText(instructions), programText(instructions)})
	}
	for _, l := range listings {
		if l.Name != "" {
			e.printf("; %s in section %s\n", l.Name, l.Section)
		}
		e.printf("%s", l.Text)
	}
	return e.document(map[string]any{"programs": listings})
}
