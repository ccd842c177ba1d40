package qemu

import (
	"fmt"
	"strconv"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/fleet"
)

// Descriptor numbers of the channels in the QEMU process: exec.Cmd.ExtraFiles
// begin at 3.
const (
	controlFD = 3 // one end of a socket pair
	consoleFD = 4 // one end of a socket pair
	qmpFD     = 5 // a listening socket
	framesFD  = 6 // one end of a socket pair, for guests with frames
)

// networkID names a guest's network to QEMU.
const networkID = "net0"

// canonicalFlags make a run repeat to the instruction: one instruction is one
// virtual nanosecond, idle time is skipped, and clock and entropy are fixed.
// Measured on 7.2.22 and 10.0.2: transcripts of whole Linux boots are equal.
var canonicalFlags = []string{
	"-icount", "shift=0,sleep=off",
	"-rtc", "base=2025-01-01T00:00:00,clock=vm",
	"-seed", "42",
}

// paths are the files of one guest in the registry.
type paths struct{ dir string }

func (p paths) qmp() string     { return p.dir + "/q" }
func (p paths) relay() string   { return p.dir + "/r" }
func (p paths) gdb() string     { return p.dir + "/g" }
func (p paths) console() string { return p.dir + "/c" }
func (p paths) tap() string     { return p.dir + "/t" }
func (p paths) log() string     { return p.dir + "/console.log" }
func (p paths) initrd() string  { return p.dir + "/initrd" }

// arguments is the whole command line of one guest after the program's name.
// The token stands first: the registry knows its process by it.
func arguments(spec fleet.Spec, token string, p paths) []string {
	a := []string{"-name", "guest=lab-" + token}
	a = append(a, machine(spec)...)
	a = append(a,
		"-cpu", "cortex-a72", // -cpu max costs five times as much on 7.2: pointer authentication in software
		"-smp", strconv.Itoa(spec.CPUs),
		"-m", strconv.Itoa(spec.MemoryMiB),
		"-nodefaults", "-display", "none", "-no-reboot",
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d,logfile=%s", consoleFD, escape(p.log())),
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d,server=on,wait=off", qmpFD),
		"-mon", "chardev=monitor,mode=control",
		"-serial", "chardev:console",
		"-kernel", spec.Kernel)
	if spec.Initramfs != "" || len(spec.Job) > 0 {
		a = append(a, "-initrd", p.initrd())
	}
	if line := commandLine(spec); line != "" {
		a = append(a, "-append", line)
	}
	switch spec.Mode {
	case fleet.Measured:
		a = append(a, canonicalFlags...)
	case fleet.Counted:
		a = append(a, "-icount", "shift=0,sleep=on", "-seed", strconv.FormatUint(spec.Seed, 10))
	default:
		a = append(a, "-accel", "tcg,thread=multi", "-seed", strconv.FormatUint(spec.Seed, 10))
	}
	return append(a, devices(spec, p)...)
}

func machine(spec fleet.Spec) []string {
	if fleet.IsLinux(spec.Target) {
		return []string{"-M", "virt,gic-version=3,dtb-randomness=off"}
	}
	return []string{"-M", "virt,gic-version=3,dtb-randomness=off", "-global", "virtio-mmio.force-legacy=false"}
}

// devices differ by target: ours drives virtio over MMIO and takes port 1;
// Linux finds the control port by name over PCI, where its drivers are built in.
func devices(spec fleet.Spec, p paths) []string {
	var a []string
	if !oneChannel(spec) {
		a = append(a, "-chardev", fmt.Sprintf("socket,id=control,fd=%d", controlFD))
	}
	switch {
	case oneChannel(spec):
	case fleet.IsLinux(spec.Target):
		a = append(a, "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=lab.ctl")
	default:
		// A virtserialport waits for a slow reader; a virtconsole drops what the
		// socket does not take, in the middle of frames.
		a = append(a, "-device", "virtio-serial-device,max_ports=2", "-device", "virtserialport,chardev=control,nr=1,name="+abi.ControlPortName)
	}
	a = append(a, network(spec)...)
	if spec.PVPanic {
		a = append(a, "-device", "pvpanic-pci")
	}
	if spec.GDB || spec.Paused {
		a = append(a, "-gdb", "unix:"+p.gdb()+",server=on,wait=off")
	}
	if spec.Paused {
		a = append(a, "-S")
	}
	return a
}

func network(spec fleet.Spec) []string {
	back := "user,id=" + networkID + ",restrict=on"
	switch {
	case spec.Frames:
		back = fmt.Sprintf("socket,id=%s,fd=%d", networkID, framesFD)
	case !spec.Network:
		return nil
	}
	card := "virtio-net-device,netdev=" + networkID
	if fleet.IsLinux(spec.Target) {
		card = "virtio-net-pci,romfile=,netdev=" + networkID
	}
	return []string{"-netdev", back, "-device", card}
}

// oneChannel says that frames and console share the serial port; see split.go.
func oneChannel(spec fleet.Spec) bool {
	return fleet.IsLinux(spec.Target) && spec.Mode == fleet.Measured
}

// commandLine: under Linux, addresses and stack offsets are not randomised, so
// that runs repeat. The agent reads lab.* words.
func commandLine(spec fleet.Spec) string {
	line := spec.Append
	if fleet.IsLinux(spec.Target) {
		line = "console=ttyAMA0 quiet nokaslr randomize_kstack_offset=off panic=-1 " + line
		if spec.Mode == fleet.Measured {
			line += " lab.settle=5"
		}
	}
	return line
}

// escape doubles commas, which separate options in QEMU's option strings.
func escape(path string) string {
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == ',' {
			out = append(out, ',')
		}
		out = append(out, path[i])
	}
	return string(out)
}
