// Package pathtest builds the packet path (core/hook, core/net, drivers/synth)
// for the host, with sanitizers, and runs the tests written in C beside it.
// The processor and the scheduler are stand-ins (testdata/include,
// testdata/host_host_test.c); everything else is the code of the image.
package pathtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var seed = flag.Uint64("path.seed", 1, "seed of the packet path's random tests")

// build compiles the path with one set of sanitizers. Leaks are not looked
// for: the kernel's pages live as long as the kernel.
func build(t *testing.T, name string, flags ...string) string {
	t.Helper()
	compiler, err := exec.LookPath("gcc") // it brings its sanitizers, clang packages them apart
	if err != nil {
		t.Skip("gcc is not installed")
	}
	var sources []string
	for _, pattern := range []string{"testdata/*.c", "../hook/*.c", "../net/*.c", "../mem/pool.c", "../../drivers/synth/*.c"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no sources (%v)", pattern, err)
		}
		for _, source := range found {
			if filepath.Base(source) == "imports.c" { // the seam to Go, not the path
				continue
			}
			sources = append(sources, source)
		}
	}
	readAll(t)
	binary := filepath.Join(t.TempDir(), name)
	arguments := append([]string{"-std=c17", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread",
		"-fno-sanitize-recover=all", "-D_GNU_SOURCE", "-I", "testdata/include", "-I", "../..", "-I", "testdata",
		"-o", binary}, flags...)
	if out, err := exec.Command(compiler, append(arguments, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return binary
}

// readAll opens every source and header, so that go test's cache knows what
// the result depends on.
func readAll(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"testdata/*", "testdata/include/arch/arm64/*", "../*/*.[ch]", "../../drivers/synth/*", "../../abi/gen/*.h"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			if _, err := os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func run(t *testing.T, binary, name string) {
	t.Helper()
	command := exec.Command(binary, name, fmt.Sprint(*seed))
	command.Env = append(command.Environ(), "ASAN_OPTIONS=detect_leaks=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v (again with -path.seed=%d)\n%s", err, *seed, out)
	}
}

func TestPacketPath(t *testing.T) {
	binary := build(t, "path", "-fsanitize=address,undefined")
	names, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(names))
	if len(list) < 20 {
		t.Fatalf("%d tests found", len(list))
	}
	for _, name := range list {
		t.Run(name, func(t *testing.T) { run(t, binary, name) })
	}
}

// The swap once more, under the detector of data races: the argument about
// its ordering (core/hook/hook.c) must hold for it too.
func TestSwapHasNoDataRace(t *testing.T) {
	run(t, build(t, "race", "-fsanitize=thread"), "swap_under_load")
}
