package qemu

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// holdVariable makes this test binary play a lab: it starts a guest in the
// state directory the variable names and waits to be killed.
const holdVariable = "LAB_TEST_HOLD"

func TestMain(m *testing.M) {
	if state := os.Getenv(holdVariable); state != "" {
		hold(state)
	}
	os.Exit(m.Run())
}

func hold(state string) {
	registry, err := fleet.OpenRegistry(state)
	if err != nil {
		panic(err)
	}
	pool, err := NewPool(registry, fleet.Artefacts{}, 1)
	if err != nil {
		panic(err)
	}
	image := state + "/image"
	if err := os.WriteFile(image, sleepingImage, 0o600); err != nil {
		panic(err)
	}
	_, err = pool.Start(context.Background(), fleet.Spec{Name: "held", Target: fleet.TargetOurs, Kernel: image,
		Budget: fleet.Budget{Boot: time.Hour}})
	panic(err) // it sleeps for ever, so this is not reached
}

// waitFor polls a condition of another process.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("no %s within 30 s", what)
}

// gone says that no process of that number runs; a zombie has ended.
func gone(pid int) bool {
	_, err := fleet.ProcessStart(pid)
	return err != nil
}

// TestKilledLab: after kill -9 of a lab its QEMU ends by itself, and Down
// clears what is left and says so.
func TestKilledLab(t *testing.T) {
	pool := newTestPool(t)
	lab := exec.Command(os.Args[0])
	lab.Env = append(os.Environ(), holdVariable+"="+pool.registry.Dir())
	lab.Stderr = os.Stderr
	if err := lab.Start(); err != nil {
		t.Fatal(err)
	}
	var entry fleet.Entry
	waitFor(t, "guest", func() bool {
		entries, err := pool.registry.Entries()
		if err == nil && len(entries) == 1 && entries[0].PID != 0 {
			entry = entries[0]
		}
		return entry.PID != 0
	})
	if !entry.Alive() || !entry.OwnerAlive() {
		t.Errorf("the guest is alive: %v, its lab: %v; want both", entry.Alive(), entry.OwnerAlive())
	}
	if err := lab.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	lab.Wait()
	waitFor(t, "end of QEMU with its lab", func() bool { return gone(entry.PID) })
	report, err := pool.registry.Down()
	if err != nil || report.Stale != 1 || len(report.Stopped) != 0 {
		t.Errorf("Down = %+v, %v; want one stale entry", report, err)
	}
}

// TestDownStopsLab: Down while the lab lives asks it first.
func TestDownStopsLab(t *testing.T) {
	pool := newTestPool(t)
	lab := exec.Command(os.Args[0])
	lab.Env = append(os.Environ(), holdVariable+"="+pool.registry.Dir())
	if err := lab.Start(); err != nil {
		t.Fatal(err)
	}
	go lab.Wait() // reaps it, so that it does not stay a zombie
	waitFor(t, "guest", func() bool {
		entries, err := pool.registry.Entries()
		return err == nil && len(entries) == 1 && entries[0].PID != 0
	})
	report, err := pool.registry.Down()
	if err != nil || len(report.Stopped) != 1 || report.Stopped[0] != "held" || len(report.Owners) != 1 {
		t.Errorf("Down = %+v, %v; want the guest and its lab", report, err)
	}
}

// TestDownKillsOrphans: a QEMU that outlived its lab, with its pid recorded or
// not, is found by its token and ended; one of another lab is left alone.
func TestDownKillsOrphans(t *testing.T) {
	pool := newTestPool(t)
	recorded, unrecorded := orphan(t, pool.registry, true), orphan(t, pool.registry, false)
	stranger := orphan(t, nil, false)
	report, err := pool.registry.Down()
	if err != nil || len(report.Stopped) != 2 || report.Stale != 0 {
		t.Errorf("Down = %+v, %v; want two stopped", report, err)
	}
	for _, pid := range []int{recorded, unrecorded} {
		waitFor(t, "end of the orphan", func() bool { return gone(pid) })
	}
	if gone(stranger) {
		t.Error("Down ended a QEMU that is not its own")
	}
	again, err := pool.registry.Down()
	if err != nil || len(again.Stopped)+again.Stale != 0 {
		t.Errorf("second Down = %+v, %v; want nothing to do", again, err)
	}
}

// orphan starts a QEMU without a machine, entered in the registry as the guest
// of a lab that is gone. Without a registry it is a stranger's.
func orphan(t *testing.T, registry *fleet.Registry, record bool) int {
	t.Helper()
	token := "0123456789abcdef"
	var entry fleet.Entry
	if registry != nil {
		var err error
		if entry, err = registry.New(fmt.Sprintf("orphan-%v", record), fleet.TargetOurs); err != nil {
			t.Fatal(err)
		}
		token = entry.Token
	}
	command := exec.Command(program, "-name", "guest=lab-"+token, "-M", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { command.Wait(); close(ended) }()
	t.Cleanup(func() { command.Process.Kill(); stdin.Close(); <-ended })
	if greeting, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.Contains(greeting, "QMP") {
		t.Fatalf("QEMU greets %q, %v", greeting, err)
	}
	if registry != nil {
		entry.Owner, entry.OwnerStart = 1<<22+1, 1 // beyond any pid
		if record {
			entry.PID = command.Process.Pid
			if entry.PIDStart, err = fleet.ProcessStart(entry.PID); err != nil {
				t.Fatal(err)
			}
		}
		if err := registry.Put(entry); err != nil {
			t.Fatal(err)
		}
	}
	return command.Process.Pid
}

// TestReusedPID: an entry whose pid now belongs to another process is stale,
// and that process is not touched.
func TestReusedPID(t *testing.T) {
	pool := newTestPool(t)
	bystander := exec.Command("sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bystander.Process.Kill(); bystander.Wait() })
	entry, err := pool.registry.New("reused", fleet.TargetOurs)
	if err != nil {
		t.Fatal(err)
	}
	entry.PID, entry.Owner, entry.OwnerStart = bystander.Process.Pid, 1<<22+1, 1
	if entry.PIDStart, err = fleet.ProcessStart(entry.PID); err != nil {
		t.Fatal(err)
	}
	if err := pool.registry.Put(entry); err != nil {
		t.Fatal(err)
	}
	report, err := pool.registry.Down()
	if err != nil || report.Stale != 1 || len(report.Stopped) != 0 {
		t.Errorf("Down = %+v, %v; want one stale entry", report, err)
	}
	if gone(bystander.Process.Pid) {
		t.Errorf("Down killed process %s, which is not a guest", strconv.Itoa(bystander.Process.Pid))
	}
}
