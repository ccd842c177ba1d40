// The generated files are fresh, C accepts them, and padding is refused.

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const abiDirectory = "../../.."

// TestFresh fails when a struct or constant changed and the generated files
// were not made again.
func TestFresh(t *testing.T) {
	source, err := load(abiDirectory)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := source.goCodec()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{
		filepath.Join(abiDirectory, codecFile):      codec,
		filepath.Join(abiDirectory, "gen", "abi.h"): source.cHeader(),
	} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go run ./kernel/abi/gen/cmd/abigen", path)
		}
	}
}

// TestHeaderCompiles lets clang check every assertion for the kernel's target.
func TestHeaderCompiles(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	out, err := exec.Command(clang, "--target=aarch64-none-elf", "-ffreestanding", "-std=c17", "-Wall", "-Wextra",
		"-Werror", "-fsyntax-only", "-x", "c", filepath.Join(abiDirectory, "gen", "abi.h")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestPaddingRefused: a struct with a hole would have bytes that neither side
// writes, and C and Go could disagree about where a field lies.
func TestPaddingRefused(t *testing.T) {
	directory := t.TempDir()
	text := "package abi\n\ntype Holed struct {\n\tA uint8\n\tB uint32\n}\n"
	if err := os.WriteFile(filepath.Join(directory, "a.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := load(directory)
	if err == nil || !strings.Contains(err.Error(), "Holed.B") {
		t.Fatalf("got %v, want an error that names Holed.B", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"NetRXContext":   "net_rx_context",
		"NetRXTX":        "net_rx_tx",
		"CPUs":           "cpus",
		"BootInsnCPU0":   "boot_insn_cpu0",
		"SpinDelayNSMax": "spin_delay_ns_max",
		"FlowAgeNS":      "flow_age_ns",
		"IngressIfindex": "ingress_ifindex",
		"HelloWXorX":     "hello_w_xor_x",
		"ErrUnknownHook": "err_unknown_hook",
	} {
		if got := snake(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
