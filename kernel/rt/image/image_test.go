// Links small kernels with the real tools and looks at what became of them.

package image

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// source has functions, a static one among them, and the digest's place.
const source = `
__attribute__((used)) static int hidden(int x) { return x * 3; }
int visible(int x) { return hidden(x) + 1; }
void _start(void) { for (;;) visible(2); }
__attribute__((weak)) const unsigned char kernel_digest[32] = {0};
const void *keep[] = {kernel_digest, (void *)hidden};
`

const script = `SECTIONS {
	. = 0xffff000040200000;
	.text : { *(.text .text.*) }
	.rodata : { *(.rodata .rodata.*) KEEP(*(.symbols)) }
	.data : { *(.data .data.* .data.rel.ro*) }
	/DISCARD/ : { *(.comment) *(.eh_frame*) }
}`

// link builds a small kernel, with the table of another one if there is one.
func link(t *testing.T, directory, name string, more ...string) string {
	t.Helper()
	in := func(file string) string { return filepath.Join(directory, file) }
	run := func(command string, args ...string) {
		t.Helper()
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(command + " is not installed")
		}
		if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	for file, text := range map[string]string{"k.c": source, "k.ld": script} {
		if err := os.WriteFile(in(file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run("clang-19", "--target=aarch64-none-elf", "-O1", "-fno-inline", "-ffreestanding", "-c", in("k.c"), "-o", in("k.o"))
	objects := []string{in("k.o")}
	for _, assembly := range more {
		run("clang-19", "--target=aarch64-none-elf", "-c", assembly, "-o", assembly+".o")
		objects = append(objects, assembly+".o")
	}
	run("ld.lld-19", append([]string{"-T", in("k.ld"), "-o", in(name)}, objects...)...)
	return in(name)
}

func symbolsOf(t *testing.T, path string) ([]Symbol, uint64) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, end, err := Symbols(file)
	if err != nil {
		t.Fatal(err)
	}
	return symbols, end
}

func TestTwoLinks(t *testing.T) {
	directory := t.TempDir()
	first, end := symbolsOf(t, link(t, directory, "first.elf"))
	names := map[string]bool{}
	for i, s := range first {
		names[s.Name] = true
		if i > 0 && first[i-1].Address >= s.Address || s.Address >= end {
			t.Errorf("%s at %#x is out of order", s.Name, s.Address)
		}
	}
	if !names["hidden"] || !names["visible"] || !names["_start"] {
		t.Fatalf("functions found: %v", first)
	}
	var table bytes.Buffer
	if err := Assembly(&table, first, end); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "symbols.S")
	if err := os.WriteFile(path, table.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	second, _ := symbolsOf(t, link(t, directory, "second.elf", path))
	if err := Same(first, second); err != nil {
		t.Error(err)
	}
	second[1].Address += 4
	if err := Same(first, second); err == nil || !strings.Contains(err.Error(), first[1].Name) {
		t.Errorf("a function that moved gave %v", err)
	}
	if err := Same(first, second[1:]); err == nil {
		t.Error("a function that vanished was not noticed")
	}
}

func TestSeal(t *testing.T) {
	directory := t.TempDir()
	kernel := link(t, directory, "kernel.elf")
	flat, digestFile := filepath.Join(directory, "kernel.img"), filepath.Join(directory, "kernel.sha256")
	if out, err := exec.Command("llvm-objcopy-19", "-O", "binary", kernel, flat).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, err := os.ReadFile(flat)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := Seal(kernel, flat, digestFile)
	if err != nil {
		t.Fatal(err)
	}
	if digest != sha256.Sum256(before) {
		t.Error("the digest is not that of the image with its place zero")
	}
	after, _ := os.ReadFile(flat)
	if at := bytes.Index(after, digest[:]); at < 0 || !bytes.Equal(after[:at], before[:at]) || !bytes.Equal(after[at+32:], before[at+32:]) {
		t.Error("the image holds no digest, or more changed than its place")
	}
	if inELF, _ := os.ReadFile(kernel); !bytes.Contains(inELF, digest[:]) {
		t.Error("the ELF file holds no digest")
	}
	if text, _ := os.ReadFile(digestFile); strings.TrimSpace(string(text)) != hex.EncodeToString(digest[:]) {
		t.Errorf("%s holds %q", digestFile, text)
	}
	// Sealing a sealed image changes nothing: the place counts as zero.
	again, err := Seal(kernel, flat, digestFile)
	if err != nil || again != digest {
		t.Errorf("sealed twice: %x, %v", again, err)
	}
}

func TestDigestOutside(t *testing.T) {
	for _, at := range []int{-1, 33, 64} {
		if _, err := Digest(make([]byte, 64), at); err == nil {
			t.Errorf("a digest at byte %d of 64 was accepted", at)
		}
	}
}

func TestNamesAreShortened(t *testing.T) {
	var table bytes.Buffer
	symbols := []Symbol{{0x1000, "(*" + namePrefix + "svc/verify.Workspace).step"}, {0x1010, "panic"}}
	if err := Assembly(&table, symbols, 0x1020); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"(*svc/verify.Workspace).step"`, `"panic"`, ".long 0x10\n", ".long 0x20\n"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %s in\n%s", want, table.String())
		}
	}
}
