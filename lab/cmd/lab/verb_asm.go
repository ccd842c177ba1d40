package main

import (
	"encoding/hex"
	"os"
)

// asmVerb turns eBPF text into bytes.
type asmVerb struct {
	File   string `arg:"" optional:"" help:"Text of one program; stdin if absent or '-'."`
	Output string `short:"o" help:"Write raw bytes to this file instead of hexadecimal to stdout." placeholder:"FILE"`
}

func (asmVerb) Help() string {
	return "The text is what llvm-objdump and Linux's verifier log print; labels and ';' comments are allowed.\n\nExample:\n\n  printf 'r0 = 2\\nexit\\n' | lab asm\n  lab asm filter.s | lab bpf run 0011223344"
}

func (v *asmVerb) Run(e *env) error {
	text, err := readInput(e, v.File)
	if err != nil {
		return err
	}
	instructions, err := assembleText(inputName(v.File), text)
	if err != nil {
		return err
	}
	wire := wireBytes(instructions)
	if v.Output != "" {
		if err := os.WriteFile(v.Output, wire, 0o644); err != nil {
			return infra("%w", err)
		}
	} else {
		e.printf("%s\n", hex.EncodeToString(wire))
	}
	return e.document(map[string]any{"bytes": hex.EncodeToString(wire), "slots": len(instructions), "digest": digestText(instructions)})
}
