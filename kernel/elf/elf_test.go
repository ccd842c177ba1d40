package elf

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// compile makes an object of C with the clang of the build; without it the
// test is skipped loudly.
func compile(t testing.TB, cpu, source string) []byte {
	t.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("SKIPPED LOUDLY: clang-19 is missing, no object was compiled")
	}
	directory := t.TempDir()
	object := filepath.Join(directory, "a.o")
	command := exec.Command("clang-19", "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu="+cpu, "-x", "c", "-c", "-o", object, "-")
	command.Stdin = strings.NewReader(source)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func seed(t testing.TB, name string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// TestSeeds compiles the seed filters and takes them through the verifier.
func TestSeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/*.c")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d seed filters: %v", len(files), err)
	}
	workspace := verify.NewWorkspace()
	for _, file := range files {
		for _, cpu := range []string{"v2", "v3", "v4"} {
			programs, err := Read(compile(t, cpu, seed(t, filepath.Base(file))))
			if err != nil || len(programs) != 1 {
				t.Errorf("%s %s: %d programs, %v", file, cpu, len(programs), err)
				continue
			}
			kind, known := TypeOf(programs[0].Section)
			if !known {
				t.Errorf("%s: section %q", file, programs[0].Section)
			}
			a, report := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Type: kind, Instructions: programs[0].Instructions}, new(analyze.Workspace))
			if report.Code != abi.OK {
				t.Errorf("%s %s: analyze: code %d at %d", file, cpu, report.Code, report.Instruction)
				continue
			}
			if _, fault := verify.Check(a, workspace); fault.Code != abi.OK {
				t.Errorf("%s %s: verify: code %d at %d: wanted %d found %d", file, cpu, fault.Code, fault.Instruction, fault.Wanted, fault.Found)
			}
		}
	}
}

func TestRefusesWithPlace(t *testing.T) {
	withMap := compile(t, "v3", `
struct { int (*type)[1]; int (*max_entries)[1]; } counters __attribute__((section(".maps")));
static void *(*lookup)(void *, const void *) = (void *)1;
__attribute__((section("xdp"))) int prog(void *ctx) { int k = 0; return lookup(&counters, &k) != 0; }`)
	plain := compile(t, "v3", seed(t, "drop_all.c"))
	for _, c := range []struct {
		name   string
		object []byte
		want   string
	}{
		{"empty", nil, "object: "},
		{"not ELF", []byte("hello, this is no object at all"), "bad magic"},
		{"cut in the header", plain[:40], "object: "},
		{"cut in the middle", plain[:len(plain)/2], ""},
		{"other machine", change(plain, 18, 62), "want a relocatable EM_BPF object"},
		{"needs a map", withMap, `needs "counters"`},
		{"no function", compile(t, "v3", "int x = 5;"), "no program"},
	} {
		_, err := Read(c.object)
		var place *PlaceError
		if !errors.As(err, &place) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A broken instruction is named by section and offset.
	broken := bytes.Replace(plain, []byte{0x95, 0, 0, 0, 0, 0, 0, 0}, []byte{0xff, 0, 0, 0, 0, 0, 0, 0}, 1)
	if _, err := Read(broken); err == nil || !strings.Contains(err.Error(), `section "xdp" at 0x8`) {
		t.Errorf("broken instruction: %v", err)
	}
}

func change(object []byte, offset int, value byte) []byte {
	changed := bytes.Clone(object)
	changed[offset] = value
	return changed
}

// TestCutAndFlipped reads an object cut at every length and with every byte of
// its structures changed: refused or read, never a crash.
func TestCutAndFlipped(t *testing.T) {
	object := compile(t, "v3", seed(t, "drop_all.c"))
	for length := range object {
		Read(object[:length])
	}
	for offset := range object {
		for _, value := range []byte{0x00, 0x7f, 0xff, object[offset] ^ 1} {
			programs, err := Read(change(object, offset, value))
			for _, program := range programs {
				if err != nil || len(program.Instructions) == 0 {
					t.Fatalf("byte %d as %#x: a program and %v", offset, value, err)
				}
			}
		}
	}
}

func FuzzELF(f *testing.F) {
	if _, err := exec.LookPath("clang-19"); err == nil {
		f.Add(compile(f, "v3", seed(f, "drop_all.c")))
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, object []byte) {
		programs, err := Read(object)
		if (err == nil) != (len(programs) > 0) {
			t.Fatalf("%d programs and %v", len(programs), err)
		}
		for _, program := range programs {
			for index := 0; index < len(program.Instructions); {
				width, code := bpf.CheckSlot(program.Instructions, index)
				if code != abi.OK {
					t.Fatalf("%s: instruction %d is not sound", program.Name, index)
				}
				index += width
			}
		}
	})
}
