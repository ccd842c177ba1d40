package qemu

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// Images of a few instructions stand in for kernels that go wrong: QEMU runs a
// file without an arm64 header from its first byte at EL1.
var (
	spinningImage = words(0x14000000)             // b .
	sleepingImage = words(0xd503207f, 0x17ffffff) // wfi; b .-4

	// Prints the text that follows to the PL011 at 0x09000000, then PSCI
	// SYSTEM_OFF (0x84000008) by hvc.
	panickingImage = append(words(
		0xd2a12000, // movz x0, #0x900, lsl #16
		0x10000101, // adr x1, . + 32
		0x38401422, // 1: ldrb w2, [x1], #1
		0x34000062, // cbz w2, 2f
		0xb9000002, // str w2, [x0]
		0x17fffffd, // b 1b
		0x52b08000, // 2: movz w0, #0x8400, lsl #16
		0x72800100, // movk w0, #8
		0xd4000002, // hvc #0
	), "panic: planted\npanic: end\n\x00"...)
)

func words(instructions ...uint32) []byte {
	var image []byte
	for _, instruction := range instructions {
		image = binary.LittleEndian.AppendUint32(image, instruction)
	}
	return image
}

// newTestPool makes a pool with a registry of its own, or skips loudly.
func newTestPool(t *testing.T) *Pool {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("SKIPPED: %s is not installed; nothing about guests was tested", program)
	}
	state, err := os.MkdirTemp("", "lab") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	registry, err := fleet.OpenRegistry(state)
	if err != nil {
		t.Fatal(err)
	}
	artefacts, err := fleet.FindArtefacts()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := NewPool(registry, artefacts, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		if entries, err := registry.Entries(); err != nil || len(entries) != 0 {
			t.Errorf("registry after Close: %v, %v", entries, err)
		}
	})
	return pool
}

func needLinux(t *testing.T, pool *Pool) {
	t.Helper()
	if missing := pool.artefacts.Missing(fleet.TargetLinux612); len(missing) > 0 {
		t.Skipf("SKIPPED: the Linux guest is not built (%s; make linux-guest); nothing about it was tested", strings.Join(missing, ", "))
	}
}

func deadline(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func imageFile(t *testing.T, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBootFailures: each way not to boot is told apart, has what it takes to
// find out why attached, and gives its slot back.
func TestBootFailures(t *testing.T) {
	pool := newTestPool(t)
	for _, c := range []struct {
		name    string
		image   []byte
		budget  fleet.Budget
		cause   string
		console string
	}{
		{"spins", spinningImage, fleet.Budget{Boot: time.Second}, "boot budget", ""},
		{"sleeps", sleepingImage, fleet.Budget{Boot: 200 * time.Millisecond}, "hangs", ""},
		{"panics", panickingImage, fleet.Budget{}, "panic: planted", "panic: end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			machine, err := pool.Start(deadline(t, time.Minute), fleet.Spec{Target: fleet.TargetOurs, Name: c.name,
				Kernel: imageFile(t, c.image), Budget: c.budget, Job: make([]byte, 8)})
			var boot *fleet.BootError
			if !errors.As(err, &boot) || machine != nil {
				t.Fatalf("Start = %v, %v; want a BootError", machine, err)
			}
			if !strings.Contains(boot.Cause.Error(), c.cause) || !strings.Contains(string(boot.Console), c.console) {
				t.Errorf("error %q lacks cause %q or console %q", err, c.cause, c.console)
			}
			wantRegisters := c.console == ""
			if has := strings.Contains(boot.Registers, "PC="); has != wantRegisters {
				t.Errorf("registers attached: %v, want %v: %q", has, wantRegisters, boot.Registers)
			}
		})
	}
	for range cap(pool.slots) { // all slots are free again
		select {
		case pool.slots <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("a slot was not freed")
		}
	}
	for range cap(pool.slots) {
		<-pool.slots
	}
}

// TestMissingKernel: the error names the command that builds what is missing.
func TestMissingKernel(t *testing.T) {
	pool := newTestPool(t)
	_, err := pool.Start(deadline(t, time.Minute), fleet.Spec{Target: fleet.TargetOurs, Kernel: "/nonexistent"})
	if err == nil || !strings.Contains(err.Error(), "make kernel") {
		t.Errorf("Start = %v; want the build command", err)
	}
}

// TestQEMUFails: QEMU's own words reach the error.
func TestQEMUFails(t *testing.T) {
	pool := newTestPool(t)
	_, err := pool.Start(deadline(t, time.Minute), fleet.Spec{Target: fleet.TargetOurs,
		Kernel: imageFile(t, sleepingImage), MemoryMiB: 1 << 30})
	var boot *fleet.BootError
	if !errors.As(err, &boot) || !strings.Contains(err.Error(), "memory") && !strings.Contains(err.Error(), "ram") {
		t.Errorf("Start = %v; want QEMU's complaint about memory", err)
	}
}

// TestLinuxGuest boots Linux once and uses all of the control channel.
func TestLinuxGuest(t *testing.T) {
	pool := newTestPool(t)
	needLinux(t, pool)
	ctx := deadline(t, 5*time.Minute)
	machine, err := pool.Start(ctx, fleet.Spec{Target: "linux", GDB: true})
	if err != nil {
		t.Fatal(err)
	}
	if hello := machine.Hello(); hello.Kind != abi.KernelLinux || !strings.HasPrefix(guest.Release(hello), "Linux 6.12.") {
		t.Errorf("hello %+v, release %q", hello, guest.Release(hello))
	}
	t.Logf("ready after %v, %v CPU time", machine.BootHost(), machine.CPUTime())
	control := machine.Control()
	if err := control.Ping(ctx, []byte("there?")); err != nil {
		t.Error(err)
	}
	if stats, err := control.Stats(ctx); err != nil || stats.TimeNS == 0 {
		t.Errorf("Stats = %+v, %v", stats, err)
	}
	_, err = control.Install(ctx, abi.HookNetRX, 0, make([]byte, 8), abi.Digest{})
	var refused *guest.RefusedError
	if !errors.As(err, &refused) || refused.Code != abi.ErrUnsupported {
		t.Errorf("Install on Linux = %v; want ErrUnsupported", err)
	}
	if registers, err := machine.Registers(ctx); err != nil || !strings.Contains(registers, "PC=") {
		t.Errorf("Registers = %q, %v", registers, err)
	}
	if err := control.PowerOff(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-machine.Done():
	case <-ctx.Done():
		t.Fatal("the guest did not power off")
	}
	if machine.Err() != nil || machine.State() != fleet.StateDone {
		t.Errorf("after power off: %v, %v", machine.State(), machine.Err())
	}
}

// TestMeasuredLinuxRepeats runs one job in two fresh guests: equal to the
// instruction.
func TestMeasuredLinuxRepeats(t *testing.T) {
	pool := newTestPool(t)
	needLinux(t, pool)
	ctx := deadline(t, 5*time.Minute)
	// r0 = the first packet byte's address; if it is past the end drop, else pass
	program := []byte{
		0x61, 0x12, 0, 0, 0, 0, 0, 0, // r2 = *(u32 *)(r1 + 0)
		0x61, 0x13, 4, 0, 0, 0, 0, 0, // r3 = *(u32 *)(r1 + 4)
		0xb7, 0x00, 0, 0, 1, 0, 0, 0, // r0 = 1
		0x2d, 0x32, 1, 0, 0, 0, 0, 0, // if r2 > r3 goto +1
		0xb7, 0x00, 0, 0, 2, 0, 0, 0, // r0 = 2
		0x95, 0x00, 0, 0, 0, 0, 0, 0, // exit
	}
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobBench, Program: program, Trace: testTrace(20), Repeat: 100})
	if err != nil {
		t.Fatal(err)
	}
	var results [2]fleet.JobResult
	for i := range results {
		results[i], err = fleet.RunJob(ctx, pool, fleet.Spec{Target: "linux", Job: job})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("run %d: %.2f CPU-s, boot %d instructions, report %+v", i, results[i].CPU.Seconds(), results[i].Hello.BootInsnCPU0, results[i].Report)
		if len(results[i].Console) > 0 {
			t.Logf("console: %s", results[i].Console)
		}
	}
	if results[0].Hello != results[1].Hello || results[0].Hello.BootInsnCPU0 == 0 {
		t.Errorf("boots differ or are not counted:\n%+v\n%+v", results[0].Hello, results[1].Hello)
	}
	report := results[0].Report
	if report != results[1].Report {
		t.Errorf("reports differ:\n%+v\n%+v", results[0].Report, results[1].Report)
	}
	if report.Code != abi.OK || report.Offered != 2000 || report.NeededDelivered != 1000 || report.JunkDelivered != 1000 {
		t.Errorf("report %+v", report)
	}
	if report.InsnTotal <= report.InsnEmpty || report.InsnEmpty == 0 {
		t.Errorf("program %d instructions, empty %d", report.InsnTotal, report.InsnEmpty)
	}
}

// testTrace is packets of 64 bytes, every other one needed.
func testTrace(packets int) []byte {
	trace := make([]byte, abi.TraceHeaderBytes)
	(&abi.TraceHeader{Magic: abi.TraceMagic, PacketCount: uint32(packets), FlowCount: 2}).Put(trace)
	for i := range packets {
		record := make([]byte, abi.TracePacketBytes+64)
		(&abi.TracePacket{Bytes: 64, Label: uint8(i % 2), Flow: uint32(i % 2)}).Put(record)
		trace = append(trace, record...)
	}
	return trace
}

// TestOursLive boots our kernel on 4 CPUs and asks it the simplest things.
func TestOursLive(t *testing.T) {
	pool := newTestPool(t)
	if missing := pool.artefacts.Missing(fleet.TargetOurs); len(missing) > 0 {
		t.Skipf("SKIPPED: our kernel is not built (%s; make kernel); nothing about it was tested", strings.Join(missing, ", "))
	}
	ctx := deadline(t, 2*time.Minute)
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive, Seed: 1, Trace: testTrace(20)})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := pool.Start(ctx, fleet.Spec{Target: fleet.TargetOurs, CPUs: 4, Job: job, GDB: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v: %+v", machine.BootHost(), machine.Hello())
	if err := machine.Control().Ping(ctx, []byte("there?")); err != nil {
		t.Error(err)
	}
	stats, err := machine.Control().Stats(ctx)
	if err != nil {
		t.Error(err)
	}
	t.Logf("stats %+v", stats)
	if err := machine.Control().PowerOff(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-machine.Done():
	case <-ctx.Done():
		t.Fatal("the guest did not power off")
	}
	if machine.Err() != nil || machine.State() != fleet.StateDone {
		t.Errorf("after power off: %v, %v", machine.State(), machine.Err())
	}
	t.Logf("console:\n%s", machine.Console())
}

// TestHang plants an endless loop with interrupts off: the watcher finds it by
// its silence, names the function every CPU stands in and frees the slot.
func TestHang(t *testing.T) {
	pool := newTestPool(t)
	if missing := pool.artefacts.Missing(fleet.TargetOurs); len(missing) > 0 {
		t.Skipf("SKIPPED: our kernel is not built (%s; make kernel); nothing about it was tested", strings.Join(missing, ", "))
	}
	ctx := deadline(t, 4*time.Minute)
	job, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := pool.Start(ctx, fleet.Spec{Target: fleet.TargetOurs, CPUs: 2, Job: job})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := machine.Control().Plant(ctx, abi.PlantRequest{Kind: abi.PlantHang, CPUMask: 3, Count: 1}); err != nil {
		t.Logf("the guest hung before it answered: %v", err)
	}
	select {
	case <-machine.Done():
	case <-ctx.Done():
		t.Fatal("a guest that hangs was left alone")
	}
	var death *fleet.DeathError
	if !errors.As(machine.Err(), &death) || machine.State() != fleet.StateFailed {
		t.Fatalf("state %v, %v; want a DeathError", machine.State(), machine.Err())
	}
	if !strings.Contains(death.Cause.Error(), "hangs") || !strings.Contains(death.Registers, "plant") && !strings.Contains(death.Registers, "hang") {
		t.Errorf("cause %v; registers name no function:\n%s", death.Cause, death.Registers)
	}
	t.Logf("found after %v", death.Wall)
}
