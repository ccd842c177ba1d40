package tidy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestTidy(t *testing.T) {
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) < 50 {
		t.Fatalf("only %d files: not the whole repository", len(tree))
	}
	for _, check := range Checks {
		t.Run(check.Name, func(t *testing.T) {
			for _, problem := range check.Run(tree) {
				t.Error(problem)
			}
		})
	}
}

// planted breaches: each must be found by its rule, and by no other text than
// the one expected; the file beside it must be left alone.
var planted = []struct {
	check, path, content, want string
}{
	{"imports", "kernel/svc/verify/a.go", "package verify\nimport \"fmt\"\n", "services use only"},
	{"imports", "kernel/svc/verify/a.go", "package verify\nimport \"" + module + "kernel/svc/deploy\"\n", "not an earlier stage"},
	{"imports", "kernel/svc/bpf/a.go", "package bpf\nimport \"" + module + "kernel/svc/verify\"\n", "is a leaf"},
	{"imports", "kernel/svc/bpf/a.go", "package bpf\nimport \"unsafe\"\n", "seam of calls"},
	{"imports", "kernel/svc/bpf/a.go", "package bpf\nimport \"" + module + "lab/guest\"\n", "services see"},
	{"imports", "kernel/abi/a.go", "package abi\nimport \"math/bits\"\n", "imports nothing"},
	{"imports", "kernel/rt/a.go", "package rt\nimport \"" + module + "kernel/svc/bpf\"\n", "only kernel/abi"},
	{"imports", "kernel/sim/a.go", "package sim\nimport \"" + module + "lab/guest\"\n", "never imports the host"},
	{"imports", "lab/guest/a.go", "package guest\nimport \"" + module + "kernel/svc/bpf\"\n", "only kernel/abi is visible"},
	{"imports", "lab/guest/a.go", "package guest\nimport \"" + module + "optimizer/loop\"\n", "does not import"},
	{"imports", "suites/boot/a_test.go", "package boot\nimport \"" + module + "lab/cmd/lab\"\n", "a program"},
	{"includes", "kernel/core/sched/a.c", "// A.\n#include \"drivers/uart/pl011.h\"\n", "core knows no driver"},
	{"includes", "kernel/arch/arm64/a.c", "// A.\n#include \"drivers/uart/pl011.h\"\n", "knows no driver"},
	{"includes", "kernel/drivers/uart/a.c", "// A.\n#include \"../virtio/queue.h\"\n", "name it from kernel/"},
	{"lengths", "kernel/core/a.c", "int f(void)\n{\n" + strings.Repeat("\tg();\n", 80) + "}\n", "f has 83 lines"},
	{"lengths", "kernel/core/a.c", "static int f(int a,\n             int b) {\n" + strings.Repeat("    g();\n", 80) + "}\n", "f has 83 lines"},
	{"lengths", "lab/a/a.go", "package a\nfunc (x *T) F() {\n" + strings.Repeat("g()\n", 80) + "}\n", "T.F has 82 lines"},
	{"calls", "suites/boot/a_test.go", "package boot\nfunc f() { time.Sleep(1) }\n", "Eventually"},
	{"calls", "lab/a/a.sh", "pk" + "ill qemu\n", "by its id"},
	{"calls", "lab/a/a.go", "package a\nfunc f() { os.Exit(1) }\n", "return an error"},
	{"calls", "lab/a/a_test.go", "package a\nfunc f() { rand.IntN(3) }\n", "cannot be repeated"},
	{"calls", "kernel/core/a.c", "// A.\nvoid f(void) { malloc(3); }\n", "fixed pools"},
	{"calls", "lab/a/a.go", "package a // TO" + "DO later\n", "CAVEATS"},
	{"calls", "lab/a/a.go", "package a\nvar p = \"/ho" + "me/me/x\"\n", "one machine"},
	{"place", "scratch/a.go", "package a\n", "fixed names"},
	{"place", "lab/a/big.bin", strings.Repeat("x", FileBytesMax+1), "fetch it by hash"},
	{"place", "images/out/kernel.img", "x", "build output"},
	{"opening comment", "kernel/core/a.c", "int a;\n", "what the file is for"},
	{"opening comment", "lab/a/a.go", "package a\nvar x int\n", "what the file is for"},
	{"opening comment", "lab/a/a.go", "package a\n\n// x is y.\nvar x int\n", "package comment"},
	{"opening comment", "images/a.sh", "set -e\n", "what the file is for"},
	{"orphans", "images/a.c", "// A.\n", "not in the kernel's build"},
	{"orphans", "kernel/core/a.h", "// A.\n", "nothing names it"},
	{"orphans", "lab/a/a.go", "//go:build never\n\npackage a\n", "no build sets"},
	{"orphans", "lab/a/testdata/lost.txt", "x", "reads it"},
	{"orphans", "lab/a/testdata/fuzz/FuzzGone/1", "x", "reads it"},
}

func TestEveryCheckCanFail(t *testing.T) {
	covered := map[string]bool{}
	for _, plant := range planted {
		for _, check := range Checks {
			if check.Name != plant.check {
				continue
			}
			covered[check.Name] = true
			problems := check.Run(Tree{plant.path: plant.content, "lab/b/b.go": "// Package b is fine.\npackage b\n"})
			var found bool
			for _, problem := range problems {
				found = found || problem.Path == plant.path && strings.Contains(problem.Text, plant.want)
				if problem.Path == "lab/b/b.go" {
					t.Errorf("%s blames the innocent: %v", check.Name, problem)
				}
			}
			if !found {
				t.Errorf("%s missed %q in %s: found %v", check.Name, plant.want, plant.path, problems)
			}
		}
	}
	for _, check := range Checks {
		if !covered[check.Name] {
			t.Errorf("%s: no planted breach", check.Name)
		}
	}
}

func TestLengthsRatchetOnlyFalls(t *testing.T) {
	long := func(lines int) Tree {
		return Tree{"lab/a/a.go": "package a\nfunc F() {\n" + strings.Repeat("g()\n", lines-2) + "}\n"}
	}
	entry := "lab/a/a.go:F 90 a dispatch table\n"
	for lines, want := range map[int]string{90: "", 91: "grew from 90", 89: "lower its entry", 60: "lower its entry"} {
		problems := checkLengths(long(lines), entry)
		if got := fmt.Sprint(problems); want == "" && len(problems) != 0 || !strings.Contains(got, want) {
			t.Errorf("%d lines: %s, want %q", lines, got, want)
		}
	}
	if got := fmt.Sprint(checkLengths(Tree{}, entry)); !strings.Contains(got, "no longer there") {
		t.Errorf("stale entry: %s", got)
	}
	if got := fmt.Sprint(checkLengths(Tree{}, "lab/a/a.go:F 90\n")); !strings.Contains(got, "want:") {
		t.Errorf("entry without a reason: %s", got)
	}
}

// TestGeneratedFilesAreFresh runs the generator over a copy of its input.
func TestGeneratedFilesAreFresh(t *testing.T) {
	differing := func(spoil bool) (files []string) {
		copied := filepath.Join(t.TempDir(), "abi")
		if err := os.CopyFS(copied, os.DirFS(filepath.Join(root, "kernel/abi"))); err != nil {
			t.Fatal(err)
		}
		if spoil {
			path := filepath.Join(copied, "hook.go")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := bytes.Replace(text, []byte("PacketBytesMax         = 2048"), []byte("PacketBytesMax         = 4096"), 1)
			if err := os.WriteFile(path, spoilt, 0o644); err != nil || bytes.Equal(text, spoilt) {
				t.Fatalf("could not plant a change: %v", err)
			}
		}
		command := exec.Command("go", "run", "./kernel/abi/gen/cmd/abigen", "-abi", copied)
		command.Dir = root
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("abigen: %v\n%s", err, output)
		}
		for _, file := range []string{"gen/abi.h", "codec_generated.go"} {
			committed, err := os.ReadFile(filepath.Join(root, "kernel/abi", file))
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := os.ReadFile(filepath.Join(copied, file))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(committed, fresh) {
				files = append(files, file)
			}
		}
		return files
	}
	if files := differing(false); len(files) != 0 {
		t.Errorf("stale: %v; run make generate", files)
	}
	if files := differing(true); len(files) == 0 {
		t.Error("a changed constant left the generated files as they were: this test proves nothing")
	}
}

// TestMissingPackagesAreNamed: without apt the exact list is printed and the
// exit status is 2.
func TestMissingPackagesAreNamed(t *testing.T) {
	run := func(query string) (string, int) {
		command := exec.Command(filepath.Join(root, "images/install.sh"), "test")
		command.Env = append(os.Environ(), "LAB_NO_APT=1", "LAB_DPKG_QUERY="+query)
		output, err := command.CombinedOutput()
		if err != nil && command.ProcessState == nil {
			t.Fatal(err)
		}
		return string(output), command.ProcessState.ExitCode()
	}
	output, status := run("false") // nothing is installed
	if status != 2 {
		t.Errorf("exit %d, want 2\n%s", status, output)
	}
	for _, name := range []string{"chromium", "clang-format-19", "clang-tidy-19"} {
		if !strings.Contains(output, "\n  "+name+"\n") {
			t.Errorf("%s is not in the list:\n%s", name, output)
		}
	}
	everything := filepath.Join(t.TempDir(), "query")
	if err := os.WriteFile(everything, []byte("#!/bin/sh\nprintf installed\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if output, status = run(everything); status != 0 {
		t.Errorf("all installed: exit %d\n%s", status, output)
	}
}
