// One planted violation for each gate, built with the kernel's own toolchain,
// and clean code that must pass them all.

package gates

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The toolchain that `make kernel` built; without it nothing can be planted.
const toolchain = "../../../images/out/toolchain"

// moduleHeader makes a planted folder a module of its own.
const moduleHeader = "module planted.test/service\n\ngo 1.26\n"

// plant writes a package main with one export around body.
func plant(t *testing.T, source string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	for name, text := range map[string]string{"go.mod": moduleHeader, "service.go": source} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// build compiles a planted package as kernel.mk compiles the services, and
// links it with svc_planted forced; output is what the linker said.
func build(t *testing.T, directory string) (object, linked, output string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join(toolchain, "root"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "ready")); err != nil {
		t.Skip("no toolchain: run make toolchain")
	}
	target, err := filepath.Abs("../tinygo/goskernel.json")
	if err != nil {
		t.Fatal(err)
	}
	made := t.TempDir() // C beside Go would make it a cgo package
	in := func(name string) string { return filepath.Join(made, name) }
	must := func(environment, name string, args ...string) {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = directory
		command.Env = append(os.Environ(), "GOWORK=off", environment)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	must("TINYGOROOT="+root, filepath.Join(filepath.Dir(root), "tinygo"), "build", "-target="+target,
		"-gc=none", "-scheduler=none", "-panic=trap", "-opt=2", "-o", in("services.bc"), ".")
	machine := []string{"--target=aarch64-none-elf", "-mcpu=cortex-a72", "-ffreestanding", "-mgeneral-regs-only",
		"-O2", "-ffunction-sections", "-fdata-sections", "-fstack-size-section"}
	must("", "clang-19", append(machine, "-Wno-override-module", "-c", in("services.bc"), "-o", in("services.o"))...)
	stubs := "void go_putc(char c) { (void)c; }\nvoid go_abort(void) { for (;;) ; }\nlong go_ticks_ns(void) { return 0; }\n" +
		"void *memcpy(void *d, const void *s, unsigned long n) { for (volatile char *p = d; n; n--) *p++ = *(const char *)s++; return d; }\n" +
		"void *memset(void *d, int c, unsigned long n) { for (volatile char *p = d; n; n--) *p++ = c; return d; }\n" +
		"void tinygo_longjmp(void) { for (;;) ; }\n"
	if err := os.WriteFile(in("stubs.c"), []byte(stubs), 0o644); err != nil {
		t.Fatal(err)
	}
	must("", "clang-19", append(machine, "-w", "-c", in("stubs.c"), "-o", in("stubs.o"))...)
	command := exec.Command("ld.lld-19", "--gc-sections", "-u", "svc_planted", "-u", "go_init", "-e", "go_init",
		in("services.o"), in("stubs.o"), "-o", in("linked.elf"))
	out, _ := command.CombinedOutput()
	return in("services.o"), in("linked.elf"), string(out)
}

// service is a planted package main whose export runs body with x and n.
func service(imports, declarations, body string) string {
	return "package main\n\n" + imports + "\nfunc main() {}\n\n" + declarations +
		"\n//export svc_planted\nfunc planted(x, n uint64) uint64 {\n" + body + "\n}\n"
}

var clean = service("", "var table [8]uint64\n", "\ttable[x] += n\n\treturn table[n]")

func has(findings []Finding, gate, text string) bool {
	for _, f := range findings {
		if f.Gate == gate && strings.Contains(f.String(), text) {
			return true
		}
	}
	return false
}

// TestCleanPasses: a gate that fires on good code is no gate either.
func TestCleanPasses(t *testing.T) {
	directory := plant(t, clean)
	object, linked, output := build(t, directory)
	if output != "" {
		t.Fatalf("link: %s", output)
	}
	var all []Finding
	for _, gate := range []func() ([]Finding, error){
		func() ([]Finding, error) { return Heap(linked, []string{"svc_planted", "go_init"}) },
		func() ([]Finding, error) { return RuntimeState(linked) },
		func() ([]Finding, error) { return FloatingPoint(object) },
		func() ([]Finding, error) { return Source(directory, ".") },
		func() ([]Finding, error) {
			_, findings, err := Stack(linked, object, []string{"svc_planted"})
			return findings, err
		},
	} {
		findings, err := gate()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, findings...)
	}
	if len(all) != 0 {
		t.Errorf("findings in clean code: %v", all)
	}
}

// TestGateAHeap: an allocation is a link error that names file and line.
func TestGateAHeap(t *testing.T) {
	directory := plant(t, service("", "var keep []uint64\n", "\told := keep\n\tkeep = make([]uint64, n)\n\tkeep[0] = x\n\treturn old[0]"))
	_, _, output := build(t, directory)
	if !strings.Contains(output, "undefined symbol: runtime.alloc") || !strings.Contains(output, "service.go:11") {
		t.Errorf("the linker said:\n%s", output)
	}
	// And an allocator that somebody supplies is noticed.
	_, linked, output := build(t, plant(t, clean))
	if output != "" {
		t.Fatal(output)
	}
	findings, err := Heap(linked, []string{"svc_planted", "svc_lost"})
	if err != nil || !has(findings, "A", "svc_lost") {
		t.Errorf("a lost export: %v %v", findings, err)
	}
}

// TestGateBRuntimeState plants a use of the runtime's task state.
func TestGateBRuntimeState(t *testing.T) {
	_, linked, output := build(t, plant(t, service("", "var held uint64\n\n//go:noinline\nfunc release() { held-- }\n\n//go:noinline\nfunc work(x uint64) uint64 {\n\theld++\n\tdefer release()\n\tif x > 9 {\n\t\tpanic(0)\n\t}\n\treturn held\n}\n",
		"\treturn work(x)")))
	if output != "" {
		t.Fatal(output)
	}
	findings, err := RuntimeState(linked)
	if err != nil || !has(findings, "B", "") {
		t.Errorf("%v %v", findings, err)
	}
}

// TestGateCFloat: with the services' flags arithmetic on floats does not even
// link; the gate itself is shown an object that was compiled without them.
func TestGateCFloat(t *testing.T) {
	_, _, output := build(t, plant(t, service("", "", "\treturn uint64(float64(x) * 1.5)")))
	if !strings.Contains(output, "undefined symbol: __muldf3") {
		t.Errorf("the linker said:\n%s", output)
	}
	directory := t.TempDir()
	source := filepath.Join(directory, "f.c")
	if err := os.WriteFile(source, []byte("double twice(double x) { return x + x; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(directory, "f.o")
	if out, err := exec.Command("clang-19", "--target=aarch64-none-elf", "-O2", "-c", source, "-o", object).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	findings, err := FloatingPoint(object)
	if err != nil || !has(findings, "C", "twice") {
		t.Errorf("%v %v", findings, err)
	}
}

// TestGateDSource: each construct, with the words the finding must contain and
// the line it must name.
func TestGateDSource(t *testing.T) {
	for _, c := range []struct{ name, imports, declarations, body, want string }{
		{"import", `import "fmt"`, "", "\tfmt.Print()\n\treturn 0", "imports fmt"},
		{"lock", `import "sync"`, "var m sync.Mutex\n", "\tm.Lock()\n\treturn 0", "imports sync"},
		{"unsafe", `import "unsafe"`, "", "\treturn uint64(unsafe.Sizeof(x))", "imports unsafe"},
		{"go", "", "", "\tgo func() {}()\n\treturn 0", "go:"},
		{"defer", "", "", "\tdefer main()\n\treturn 0", "defer:"},
		{"recover", "", "", "\trecover()\n\treturn 0", "recover"},
		{"channel", "", "var c = make(chan int)\n", "\tc <- 1\n\treturn 0", "channel"},
		{"map write", "", "var m = map[uint64]uint64{1: 2}\n", "\tm[x] = n\n\treturn 0", "write to a map"},
		{"map delete", "", "var m = map[uint64]uint64{1: 2}\n", "\tdelete(m, x)\n\treturn 0", "write to a map"},
		{"map made", "", "", "\treturn uint64(len(map[uint64]uint64{x: n}))", "map made"},
		{"error compared", `import "errors"`, "var e, f = errors.New(\"e\"), errors.New(\"f\")\n", "\tif e == f {\n\t\treturn 1\n\t}\n\treturn 0", "compares interface"},
		{"math", `import "math"`, "", "\treturn uint64(math.Float64bits(0))", "math.Float64bits"},
		{"float", "", "", "\treturn uint64(float64(x))", "floating point"},
		{"println", "", "", "\tprintln(x)\n\treturn 0", "prints"},
		{"constraint", "", "", "\treturn 0", "build constraint"},
	} {
		source := service(c.imports, c.declarations, c.body)
		if c.name == "constraint" {
			source = "//go:build linux\n\n" + source
		}
		findings, err := Source(plant(t, source), ".")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !has(findings, "D", c.want) || !has(findings, "D", "service.go:") {
			t.Errorf("%s: %v, want %q", c.name, findings, c.want)
		}
	}
	findings, err := Source(plant(t, service("", "var e error\n", "\tif e != nil {\n\t\treturn 1\n\t}\n\treturn 0")), ".")
	if err != nil || len(findings) != 0 {
		t.Errorf("comparing with nil is allowed: %v %v", findings, err)
	}
}

// TestGateEHost plants an allocation, a missing test and a vet complaint.
func TestGateEHost(t *testing.T) {
	const test = "package main\n\nimport \"testing\"\n\nfunc TestNoAllocations(t *testing.T) {\n" +
		"\tif n := testing.AllocsPerRun(10, func() { planted(1, 100000) }); n != 0 {\n\t\tt.Errorf(\"%v allocations\", n)\n\t}\n}\n"
	addTest := func(directory, text string) string {
		if err := os.WriteFile(filepath.Join(directory, "service_test.go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return directory
	}
	allocates := service("", "var keep []uint64\n", "\tkeep = make([]uint64, n)\n\treturn x")
	calm := service("", "var table [8]uint64\n", "\treturn table[n%8]")
	elsewhere := strings.Replace(test, "planted(1, 100000)", "_ = 1", 1)
	for _, c := range []struct{ name, directory, want string }{
		{"not entered", addTest(plant(t, calm), elsewhere), "enters this package"},
		{"allocation", addTest(plant(t, allocates), test), "TestNoAllocations failed"},
		{"no test", plant(t, calm), "nothing was measured"},
		{"vet", addTest(plant(t, service("", "", "\tx = x\n\treturn x")), test), "self-assignment"},
	} {
		findings, err := Host(c.directory, []string{"."})
		if err != nil || !has(findings, "E", c.want) {
			t.Errorf("%s: %v %v, want %q", c.name, findings, err, c.want)
		}
	}
	findings, err := Host(addTest(plant(t, calm), test), []string{"."})
	if err != nil || len(findings) != 0 {
		t.Errorf("clean: %v %v", findings, err)
	}
}

// TestGateFStack plants a path that is too deep only as a sum, a recursion and
// a call through a pointer.
func TestGateFStack(t *testing.T) {
	level := func(name, below string) string {
		return "//go:noinline\nfunc " + name + "(x, n uint64) uint64 {\n\tvar a [120]uint64\n\tfor i := range a {\n\t\ta[i] = x * n\n\t}\n\ta[x%120] = " +
			below + "\n\treturn a[n%120]\n}\n\n"
	}
	var deep strings.Builder
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "o", "p", "q", "r", "s"}
	for i, name := range names {
		below := "n"
		if i+1 < len(names) {
			below = names[i+1] + "(x+1, n)"
		}
		deep.WriteString(level(name, below))
	}
	for _, c := range []struct{ name, declarations, body, want string }{
		{"sum", deep.String(), "\treturn a(x, n)", "bytes of stack"},
		{"recursion", "//go:noinline\nfunc r(x, n uint64) uint64 {\n\tif x == 0 {\n\t\treturn n\n\t}\n\treturn r(x-1, n*x) ^ r(x/2, n)\n}\n", "\treturn r(x, n)", "recursion"},
		{"pointer", deep.String() + "var table = [2]func(x, n uint64) uint64{a, b}\n", "\ttable[0], table[1] = table[1], table[0]\n\treturn table[n](x, n)", "(pointer, 2 candidates)"},
	} {
		object, linked, output := build(t, plant(t, service("", c.declarations, c.body)))
		if output != "" {
			t.Fatalf("%s: %s", c.name, output)
		}
		depths, findings, err := Stack(linked, object, []string{"svc_planted"})
		if err != nil || !has(findings, "F", c.want) {
			t.Errorf("%s: %v %v %v, want %q", c.name, depths, findings, err, c.want)
		}
	}
}
