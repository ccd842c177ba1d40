package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// `lab verify` on objects that are cut, damaged or lie: a refusal that names
// the file and what is wrong with it, in the document too; never a crash.

func compiledFilter(t *testing.T) []byte {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("SKIPPED LOUDLY: clang-19 is missing, no object was damaged")
	}
	object := filepath.Join(t.TempDir(), "pass_ports.o")
	command := exec.Command("clang-19", "-O2", "-target", "bpf", "-I", "../../../kernel/elf", "-c", "../../../kernel/elf/testdata/pass_ports.c", "-o", object)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// verifyBytes writes data as an object and verifies it.
func verifyBytes(t *testing.T, file string, data []byte) (code int, d document, stderr string) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runLab(t, "", "verify", "--json", file)
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v in %q, stderr %q", err, stdout, stderr)
	}
	return code, d, stderr
}

func TestVerifyCutAtEveryByte(t *testing.T) {
	object := compiledFilter(t)
	file := filepath.Join(t.TempDir(), "cut.o")
	for length := range object {
		code, d, stderr := verifyBytes(t, file, object[:length])
		// The header of sections lies at the end: without it there is nothing to read.
		if code != exitFail || len(d.Programs) != 1 || d.Programs[0].Accepted || d.Programs[0].Error == nil ||
			!strings.Contains(d.Programs[0].Error.Text, "cut.o: ") || !strings.Contains(stderr, "cut.o: ") || strings.Contains(stderr, "panic") {
			t.Fatalf("cut at %d of %d: code %d, %+v, %q", length, len(object), code, d, stderr)
		}
	}
	if code, d, _ := verifyBytes(t, file, object); code != exitPass || !d.Programs[0].Accepted {
		t.Errorf("whole: code %d, %+v", code, d)
	}
}

func TestVerifyHostileObjects(t *testing.T) {
	object := compiledFilter(t)
	little := binary.LittleEndian
	changed := func(change func(o []byte)) []byte {
		o := append([]byte(nil), object...)
		change(o)
		return o
	}
	firstSection := little.Uint64(object[40:])
	file := filepath.Join(t.TempDir(), "hostile.o")
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"no ELF", []byte(strings.Repeat("garbage ", 20)), "magic"},
		{"32 bits", changed(func(o []byte) { o[4] = 1 }), "ELFCLASS32"},
		{"no class", changed(func(o []byte) { o[4] = 9 }), "want 64-bit"},
		{"big-endian", changed(func(o []byte) { o[5] = 2 }), "ELFDATA2MSB"},
		{"another machine", changed(func(o []byte) { o[18] = 183 }), "EM_AARCH64"},
		{"a program, no object", changed(func(o []byte) { o[16] = 2 }), "ET_EXEC"},
		{"65,535 sections", changed(func(o []byte) { little.PutUint16(o[60:], 0xffff) }), ""},
		{"2^40 sections by the long form", changed(func(o []byte) {
			little.PutUint16(o[60:], 0)
			little.PutUint64(o[firstSection+32:], 1<<40)
		}), ""},
		{"section headers far away", changed(func(o []byte) { little.PutUint64(o[40:], 1<<62) }), ""},
		{"section headers at -1", changed(func(o []byte) { little.PutUint64(o[40:], ^uint64(0)) }), ""},
		{"headers of no bytes", changed(func(o []byte) { little.PutUint16(o[58:], 0) }), ""},
		{"names in no section", changed(func(o []byte) { little.PutUint16(o[62:], 0xfff0) }), ""},
		{"every section of 2^60 bytes", changed(func(o []byte) {
			for at := firstSection + 64; at+64 <= uint64(len(o)); at += 64 {
				little.PutUint64(o[at+32:], 1<<60)
			}
		}), ""},
		{"every section begins at 2^63", changed(func(o []byte) {
			for at := firstSection + 64; at+64 <= uint64(len(o)); at += 64 {
				little.PutUint64(o[at+24:], 1<<63)
			}
		}), ""},
	} {
		code, d, stderr := verifyBytes(t, file, c.data)
		if code != exitFail || len(d.Programs) != 1 || d.Programs[0].Error == nil || !strings.Contains(d.Programs[0].Error.Text, c.want) ||
			!strings.Contains(stderr, "hostile.o: ") || strings.Contains(stderr, "panic") {
			t.Errorf("%s: code %d, %+v, %q", c.name, code, d, stderr)
		} else {
			t.Logf("%s: %s", c.name, strings.TrimSpace(stderr))
		}
	}
	if code, _, stderr := runLab(t, "", "verify", t.TempDir()); code != exitUsage || !strings.Contains(stderr, "folder") {
		t.Errorf("a folder: code %d, %q", code, stderr)
	}
}

// TestVerifyFields: the document has the published fields, and a broken file
// does not hide the verdict on the next.
func TestVerifyFields(t *testing.T) {
	folder := t.TempDir()
	refused, broken := filepath.Join(folder, "refused.s"), filepath.Join(folder, "broken.o")
	if err := os.WriteFile(refused, []byte("; type: xdp\nr0 = r7\nexit\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("\x7fELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := runLab(t, "", "verify", "--json", broken, refused)
	var d struct{ Programs []map[string]any }
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != exitFail || len(d.Programs) != 2 {
		t.Fatalf("code %d, %v, %s", code, err, stdout)
	}
	for _, program := range d.Programs {
		for _, name := range []string{"object", "section", "name", "accepted", "insns", "states", "error"} {
			if _, there := program[name]; !there {
				t.Errorf("%v: no %q", program, name)
			}
		}
		var names []string
		for name := range program["error"].(map[string]any) {
			names = append(names, name)
		}
		sort.Strings(names)
		if got := strings.Join(names, " "); got != "code found insn register text wanted" {
			t.Errorf("error has %s", got)
		}
	}
}
