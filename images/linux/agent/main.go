//go:build linux

// Command agent is /init of the Linux guests: it brings the machine to the
// state in which figures repeat, then either runs the measured job it finds in
// /job or serves the control channel. Static, built for linux/arm64.
//
// It relies on nothing but the kernel: there is no shell, no libc and no disk.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const jobPath = "/job"

func main() {
	if err := run(); err != nil {
		// The lab shows the console of a guest that never said Hello.
		fmt.Fprintf(os.Stderr, "agent: %v\n", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintf(os.Stderr, "agent: power off: %v\n", err)
		select {}
	}
}

func run() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("must be started as /init")
	}
	if err := mountAll(); err != nil {
		return err
	}
	if err := creditEntropy(); err != nil {
		return err
	}
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP)
	settle := settleTime()
	blob, err := os.ReadFile(jobPath)
	if err == nil && settle > 0 {
		return runMeasured(blob, settle)
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	return serve(port)
}

// mountAll makes the file systems that programs expect. The root is the
// initramfs itself.
func mountAll() error {
	for _, m := range []struct{ source, target, kind, data string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", "mode=0755"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
		{"devpts", "/dev/pts", "devpts", "mode=0620,ptmxmode=0666"},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777,size=90%"},
		{"bpf", "/sys/fs/bpf", "bpf", "mode=0700"},
		{"tracefs", "/sys/kernel/tracing", "tracefs", ""},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		err := unix.Mount(m.source, m.target, m.kind, 0, m.data)
		if err != nil && err != unix.EBUSY && m.kind != "tracefs" {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return loopbackUp()
}

// loopbackUp lets programs talk to 127.0.0.1.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bringing up lo: %w", err)
	}
	return nil
}

// loadModules loads what the image was built with, in the order of its list:
// the drivers that the kernel package has as modules.
func loadModules(folder string) error {
	list, err := os.ReadFile(filepath.Join(folder, "order"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(list)) {
		file, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		file.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("loading %s: %w", name, err)
		}
	}
	return nil
}

// settleTime is given by lab.settle=SECONDS for measured guests: boot-time
// kernel threads still run when init starts, and idle time costs nothing when
// virtual time skips it.
func settleTime() time.Duration {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return 0
	}
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, "lab.settle="); ok {
			seconds, err := strconv.Atoi(value)
			if err == nil && seconds >= 0 && seconds <= 60 {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return 0
}
