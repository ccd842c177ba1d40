package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/elf"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// verifyVerb asks the kernel's own verifier about a source or an object.
type verifyVerb struct {
	Files []string `arg:"" help:"Assembly text (.s) or ELF objects (.o)."`
	Type  string   `help:"Program type: xdp or net.rx. Default: the object's section, or the text's first line '; type: NAME'."`
	Rules string   `help:"strict: pointers never become numbers; lenient: they may, as for a privileged loader." enum:"strict,lenient" default:"strict"`
}

func (verifyVerb) Help() string {
	return "Example:\n\n  clang-19 -O2 -target bpf -c filter.c && lab verify filter.o\n  lab verify --type net.rx --json filter.s"
}

// verifyError is why a program was refused.
type verifyError struct {
	Code     string `json:"code"`
	Insn     int32  `json:"insn"`
	Register int8   `json:"register"`
	Wanted   uint64 `json:"wanted"`
	Found    uint64 `json:"found"`
	Text     string `json:"text"`
}

// verifyRow is the verdict on one program.
type verifyRow struct {
	Object   string       `json:"object"`
	Section  string       `json:"section"`
	Name     string       `json:"name"`
	Accepted bool         `json:"accepted"`
	Insns    uint32       `json:"insns"` // looked at, over all paths
	States   uint32       `json:"states"`
	Slots    int          `json:"slots"`
	Longest  uint32       `json:"longest_path"`
	Digest   string       `json:"digest"`
	Error    *verifyError `json:"error,omitempty"`
}

// judged is a program with its type's name, ready to be judged.
type judged struct {
	object, section, name string
	instructions          []bpf.Instruction
}

func (v *verifyVerb) Run(e *env) error {
	workspace := verify.NewWorkspace()
	if v.Rules == "lenient" {
		workspace.Rules = verify.RulesLenient
	}
	rows := []verifyRow{}
	refused := 0
	for _, path := range v.Files {
		programs, err := v.programs(e, path)
		var broken *verdictError
		if errors.As(err, &broken) && broken.code == exitFail {
			// A file that is no program is refused like a program that is not safe.
			fmt.Fprintf(e.stderr, "lab: %v\n", err)
			rows = append(rows, verifyRow{Object: inputName(path), Error: &verifyError{
				Code: abi.ErrBadValue.String(), Insn: -1, Register: -1, Text: err.Error()}})
			refused++
			continue
		}
		if err != nil {
			return err
		}
		for _, program := range programs {
			row := judge(program, workspace)
			if !row.Accepted {
				refused++
			}
			printVerdict(e, row)
			rows = append(rows, row)
		}
	}
	if err := e.document(map[string]any{"programs": rows, "rules": v.Rules}); err != nil {
		return err
	}
	if refused > 0 {
		return exitWith(exitFail)
	}
	return nil
}

// programs reads a file; the type of each program is settled here.
func (v *verifyVerb) programs(e *env, path string) ([]judged, error) {
	data, err := readInput(e, path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte("\x7fELF")) || strings.HasSuffix(path, ".o") {
		read, err := elf.Read(data)
		if err != nil {
			return nil, fail("%s: %w", inputName(path), err)
		}
		var programs []judged
		for _, p := range read {
			programs = append(programs, judged{inputName(path), orElse(v.Type, p.Section), p.Name, p.Instructions})
		}
		return programs, nil
	}
	instructions, err := assembleText(inputName(path), data)
	if err != nil {
		return nil, err
	}
	kind := orElse(v.Type, string(bpf.TypeLine(data)))
	if kind == "" {
		kind = "net.rx"
		e.logf("%s: no type given and no first line '; type: NAME': judged as net.rx", inputName(path))
	}
	name := strings.TrimSuffix(filepath.Base(inputName(path)), filepath.Ext(path))
	return []judged{{inputName(path), kind, name, instructions}}, nil
}

func orElse(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

// judge takes one program through analyze and verify.
func judge(program judged, workspace *verify.Workspace) verifyRow {
	row := verifyRow{Object: program.object, Section: program.section, Name: program.name,
		Slots: len(program.instructions), Digest: digestText(program.instructions)}
	kind, known := elf.TypeOf(program.section)
	if !known {
		row.Error = &verifyError{Code: abi.ErrUnsupported.String(), Insn: -1, Register: -1,
			Text: fmt.Sprintf("program type %q is not supported; xdp and net.rx are", program.section)}
		return row
	}
	candidate := bpf.Candidate{Hook: abi.HookNetRX, Type: kind, Instructions: program.instructions}
	analyzed, report := analyze.Check(candidate, analyze.NewWorkspace(max(len(program.instructions), 1)))
	if report.Code != abi.OK {
		fault := verify.Fault{Code: report.Code, Instruction: report.Instruction, Register: -1}
		row.Error = explainFault(fault, program.instructions)
		return row
	}
	row.Longest = report.LongestPath
	_, fault := verify.Check(analyzed, workspace)
	row.Insns, row.States = fault.Processed, fault.States
	if fault.Code != abi.OK {
		row.Error = explainFault(fault, program.instructions)
		return row
	}
	row.Accepted = true
	return row
}

func printVerdict(e *env, row verifyRow) {
	if row.Accepted {
		e.printf("accepted  %s %s/%s: %d slots, %d instructions looked at, %d states, longest path %d\n",
			row.Object, row.Section, row.Name, row.Slots, row.Insns, row.States, row.Longest)
		return
	}
	e.printf("refused   %s %s/%s: %s\n", row.Object, row.Section, row.Name, row.Error.Text)
}
