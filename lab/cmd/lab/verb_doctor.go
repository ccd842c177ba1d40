package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// doctorVerb checks the host and says how to mend it.
type doctorVerb struct{}

func (doctorVerb) Help() string {
	return "Each finding comes with the command that mends it.\n\nExample:\n\n  lab doctor --json | jq '.checks[] | select(.ok | not)'"
}

// check is one finding. An informational finding is always ok.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

const (
	diskFreeMin    = 4 << 30 // toolchain, kernels and caches from empty
	memoryFreeMin  = 1 << 30 // four guests of 256 MiB
	pageAddress    = "127.0.0.1:7180"
	qemuOldestGood = "7.2"
)

func (doctorVerb) Run(e *env) error {
	checks := []check{checkQEMU()}
	artefacts, err := fleet.FindArtefacts()
	checks = append(checks, check{"repository", err == nil, detail(artefacts.Root, err), "export LAB_ROOT=/path/to/the/repository"})
	if err == nil {
		for _, target := range []string{fleet.TargetOurs, fleet.TargetLinux612} {
			missing := artefacts.Missing(target)
			found := check{"image " + target, len(missing) == 0, artefacts.Kernel(target), artefacts.BuildCommand(target)}
			if len(missing) > 0 {
				found.Detail = "missing: " + strings.Join(missing, ", ")
			}
			checks = append(checks, found)
		}
		checks = append(checks, checkDisk(artefacts.Root))
	}
	checks = append(checks, checkAcceleration(), checkMemory(), checkState(e.State), checkPort(pageAddress),
		checkTool("go", "Go 1.26 or newer from https://go.dev/dl, for lab run"),
		checkTool("gdb-multiarch", "apt-get install gdb-multiarch, for lab gdb"))
	return reportChecks(e, checks)
}

// optionalChecks describe comfort, not need: their absence never fails.
var optionalChecks = map[string]bool{"gdb-multiarch": true, "port": true}

func reportChecks(e *env, checks []check) error {
	bad := 0
	for i := range checks {
		c := &checks[i]
		mark := "ok  "
		switch {
		case c.OK:
			c.Fix = ""
		case optionalChecks[c.Name]:
			mark = "note"
		default:
			mark = "BAD "
			bad++
		}
		e.printf("%s  %-18s %s\n", mark, c.Name, c.Detail)
		if c.Fix != "" {
			e.printf("      %-18s mend: %s\n", "", c.Fix)
		}
	}
	if err := e.document(map[string]any{"checks": checks}); err != nil {
		return err
	}
	if bad > 0 {
		return fail("%d checks failed", bad)
	}
	return nil
}

func detail(text string, err error) string {
	if err != nil {
		return err.Error()
	}
	return text
}

func checkQEMU() check {
	c := check{Name: "qemu", Fix: "apt-get install --no-install-recommends qemu-system-arm"}
	path, err := exec.LookPath("qemu-system-aarch64")
	if err != nil {
		c.Detail = "qemu-system-aarch64 is not on PATH"
		return c
	}
	text, err := exec.Command(path, "--version").Output()
	if err != nil {
		c.Detail = fmt.Sprintf("%s --version: %v", path, err)
		return c
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var major, minor int
	_, scanned := fmt.Sscanf(first, "QEMU emulator version %d.%d", &major, &minor)
	c.OK = scanned == nil && (major > 7 || major == 7 && minor >= 2)
	c.Detail = first
	if !c.OK {
		c.Detail += " (needs " + qemuOldestGood + " or newer)"
	}
	return c
}

// checkAcceleration is a statement, not a test: emulation is what figures are
// made under, and KVM only adds wall-clock figures on an ARM64 host.
func checkAcceleration() check {
	c := check{Name: "acceleration", OK: true, Detail: "emulation (TCG): figures are instructions"}
	var host unix.Utsname
	if unix.Uname(&host) == nil && unix.ByteSliceToString(host.Machine[:]) == "aarch64" && unix.Access("/dev/kvm", unix.W_OK) == nil {
		c.Detail = "KVM on ARM64 is usable; figures are still made by emulation"
	}
	return c
}

func checkDisk(root string) check {
	c := check{Name: "disk", Fix: "make clean-cache, or free space on this file system"}
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		c.Detail = err.Error()
		return c
	}
	free := fs.Bavail * uint64(fs.Bsize)
	c.OK = free >= diskFreeMin
	c.Detail = fmt.Sprintf("%.1f GiB free at %s (needs %d)", float64(free)/(1<<30), root, diskFreeMin>>30)
	return c
}

func checkMemory() check {
	c := check{Name: "memory", Fix: "stop other programs, or use lab up --targets go-kernel=1"}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		c.Detail = "MemAvailable is unreadable"
		return c
	}
	c.OK = kib<<10 >= memoryFreeMin
	c.Detail = fmt.Sprintf("%.1f GiB available (needs %d)", float64(kib)/(1<<20), memoryFreeMin>>30)
	return c
}

func checkState(asked string) check {
	c := check{Name: "state directory", Fix: "lab --state /tmp/lab-$USER doctor"}
	registry, err := fleet.OpenRegistry(asked)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	probe := filepath.Join(registry.Dir(), "probe")
	listener, err := net.Listen("unix", probe)
	if err != nil {
		c.Detail = "no unix sockets there: " + err.Error()
		return c
	}
	listener.Close()
	c.OK, c.Detail = true, registry.Dir()
	return c
}

func checkPort(address string) check {
	c := check{Name: "port", OK: true, Detail: address + " is free for the page", Fix: "lab up --listen 127.0.0.1:0"}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		c.OK, c.Detail = false, address+" is taken (a running lab?): "+err.Error()
		return c
	}
	listener.Close()
	return c
}

func checkTool(name, fix string) check {
	path, err := exec.LookPath(name)
	return check{name, err == nil, detail(path, err), fix}
}
