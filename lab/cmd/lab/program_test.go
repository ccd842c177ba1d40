package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The verbs that work on programs: what they print and the codes they end with.

func runLab(t *testing.T, stdin string, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, diagnosis bytes.Buffer
	code = execute(arguments, strings.NewReader(stdin), &out, &diagnosis)
	return code, out.String(), diagnosis.String()
}

func TestAsmDisasmRun(t *testing.T) {
	const text = "r0 = *(u16 *)(r1 + 0)\nr0 = be16 r0\nexit\n"
	code, wire, _ := runLab(t, text, "asm")
	if code != exitPass || strings.TrimSpace(wire) != "6910000000000000dc000000100000009500000000000000" {
		t.Fatalf("asm: code %d, %q", code, wire)
	}
	if code, back, _ := runLab(t, wire, "disasm"); code != exitPass || back != text {
		t.Errorf("disasm: code %d, %q", code, back)
	}
	if code, result, _ := runLab(t, wire, "bpf", "run", "08 00"); code != exitPass || result != "800\n" {
		t.Errorf("run: code %d, %q", code, result)
	}
	if code, _, problem := runLab(t, wire, "bpf", "run", "08"); code != exitFail || !strings.Contains(problem, "instruction 0") {
		t.Errorf("outside memory: code %d, %q", code, problem)
	}
}

func TestProgramErrors(t *testing.T) {
	for _, c := range []struct {
		name, stdin string
		arguments   []string
		code        int
		want        string
	}{
		{"syntax with place", "r0 = 1\n  r0 ?? 2\nexit", []string{"asm"}, exitFail, "stdin:2:6"},
		{"no program", "", []string{"bpf", "run"}, exitFail, "no program"},
		{"half an instruction", "b700", []string{"bpf", "run"}, exitFail, "whole instructions"},
		{"bad opcode with place", "b7000000010000009500000000000000ff00000000000000", []string{"bpf", "run"}, exitFail, "instruction 2"},
		{"memory is no hexadecimal", "9500000000000000", []string{"bpf", "run", "xyz"}, exitUsage, "not hexadecimal"},
		{"endless", "0500ffff00000000", []string{"bpf", "run", "--steps", "1000"}, exitFail, "not finished"},
		{"no such engine", "9500000000000000", []string{"bpf", "run", "--engine", "abacus"}, exitUsage, "engine"},
		{"no such target", "", []string{"fuzz", "nothing"}, exitUsage, "no fuzz target"},
		{"no such file", "", []string{"verify", "/does/not/exist.o"}, exitUsage, "no such file"},
	} {
		if code, _, stderr := runLab(t, c.stdin, c.arguments...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: code %d, %q; want %d and %q", c.name, code, stderr, c.code, c.want)
		}
	}
}

// document is what the program verbs' --json promises.
type document struct {
	Programs []struct {
		Object, Section, Name string
		Accepted              bool
		Insns, States         int
		Error                 *struct {
			Code          string
			Insn          int
			Register      int
			Wanted, Found uint64
			Text          string
		}
	}
}

func verifyDocument(t *testing.T, arguments ...string) (int, document) {
	t.Helper()
	code, stdout, stderr := runLab(t, "", append([]string{"verify", "--json"}, arguments...)...)
	var d document
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v in %q, stderr %q", err, stdout, stderr)
	}
	return code, d
}

func TestVerifyDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "short.s")
	text := "; type: xdp\nr2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 3)\nexit\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, d := verifyDocument(t, file)
	if code != exitFail || len(d.Programs) != 1 || d.Programs[0].Accepted || d.Programs[0].Section != "xdp" {
		t.Fatalf("code %d, %+v", code, d)
	}
	if e := d.Programs[0].Error; e == nil || e.Code != "packet-bounds" || e.Insn != 1 || e.Register != 2 || e.Wanted != 4 || e.Found != 0 || e.Text == "" {
		t.Errorf("error %+v", e)
	}
	code, d = verifyDocument(t, "--type", "tc", file)
	if code != exitFail || d.Programs[0].Error == nil || d.Programs[0].Error.Code != "unsupported" {
		t.Errorf("another type: code %d, %+v", code, d)
	}
}

func TestVerifyObject(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("SKIPPED LOUDLY: clang-19 is missing, no object was verified")
	}
	object := filepath.Join(t.TempDir(), "pass_ports.o")
	command := exec.Command("clang-19", "-O2", "-target", "bpf", "-I", "../../../kernel/elf", "-c", "../../../kernel/elf/testdata/pass_ports.c", "-o", object)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	code, d := verifyDocument(t, object)
	if code != exitPass || len(d.Programs) != 1 || !d.Programs[0].Accepted || d.Programs[0].Name != "pass_ports" || d.Programs[0].Insns == 0 || d.Programs[0].Error != nil {
		t.Errorf("code %d, %+v", code, d)
	}
	if code, text, _ := runLab(t, "", "disasm", object); code != exitPass || !strings.Contains(text, "; pass_ports in section xdp\n") {
		t.Errorf("disasm: code %d, %q", code, text)
	}
}

func TestFuzzDocument(t *testing.T) {
	code, stdout, _ := runLab(t, "", "fuzz", "verify", "--programs", "2000", "--seed", "3", "--json")
	var d map[string]any
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	if code != exitPass || d["execs"].(float64) < 2000 || d["execs_per_cpu_s"].(float64) <= 0 || d["median_insns"].(float64) < 16 || len(d["findings"].([]any)) != 0 {
		t.Errorf("code %d, %v", code, d)
	}
	if share := d["accepted_share"].(float64); share < 0.4 || share > 0.6 {
		t.Errorf("%.2f accepted, want 0.4 to 0.6", share)
	}
}
