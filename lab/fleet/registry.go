package fleet

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The registry is a directory with one folder per running guest. It exists so
// that `lab down`, after the lab itself was killed, finds and ends exactly the
// QEMUs that were started from here: an entry is written before its process
// starts and carries a token that also stands on the process's command line.
//
//	STATE/guests/TOKEN/entry.json    Entry
//	STATE/guests/TOKEN/q r g c t     sockets: QMP, its relay, gdb, console, control tap
//	STATE/guests/TOKEN/console.log   everything the guest printed

// socketPathMax is what fits sockaddr_un.sun_path with its terminator.
const socketPathMax = 107

// tokenBytes of randomness name a guest: 16 hex digits.
const tokenBytes = 8

// Registry is the state directory.
type Registry struct{ dir string }

// Entry is one guest on disk.
type Entry struct {
	Token      string    `json:"token"`
	Name       string    `json:"name"`
	Target     string    `json:"target"`
	State      State     `json:"state"`
	PID        int       `json:"pid"`       // QEMU; 0 until started
	PIDStart   uint64    `json:"pid_start"` // field 22 of /proc/PID/stat
	Owner      int       `json:"owner"`     // the lab process that holds its channels
	OwnerStart uint64    `json:"owner_start"`
	Started    time.Time `json:"started"`
	BootInsn   uint64    `json:"boot_insn"`
	BootHostMS float64   `json:"boot_host_ms"`
	Kernel     string    `json:"kernel"`
	Symbols    string    `json:"symbols,omitempty"`
	Spinning   bool      `json:"spinning,omitempty"`
}

// StateDir chooses the state directory: the one asked for, else
// XDG_RUNTIME_DIR, else the user's cache.
func StateDir(asked string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		return filepath.Join(run, "go-kernel-lab"), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for running guests: set --state or XDG_RUNTIME_DIR: %w", err)
	}
	return filepath.Join(cache, "go-kernel-lab"), nil
}

// OpenRegistry makes the state directory when needed; only its owner may read
// it, because whoever reaches the sockets commands the guests.
func OpenRegistry(asked string) (*Registry, error) {
	dir, err := StateDir(asked)
	if err != nil {
		return nil, err
	}
	longest := filepath.Join(dir, "guests", strings.Repeat("x", 2*tokenBytes), "x")
	if len(longest) > socketPathMax {
		return nil, fmt.Errorf("state directory %s is too long for sockets (%d bytes, at most %d): set --state to a shorter one",
			dir, len(longest), socketPathMax)
	}
	if err := os.MkdirAll(filepath.Join(dir, "guests"), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return &Registry{dir: dir}, nil
}

// Dir is the state directory.
func (r *Registry) Dir() string { return r.dir }

// GuestDir is the folder of one guest.
func (r *Registry) GuestDir(token string) string { return filepath.Join(r.dir, "guests", token) }

// New makes the folder of a guest that is about to start.
func (r *Registry) New(name, target string) (Entry, error) {
	var random [tokenBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Entry{}, err
	}
	start, err := processStart(os.Getpid())
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{Token: hex.EncodeToString(random[:]), Name: name, Target: target, State: StateStarting,
		Owner: os.Getpid(), OwnerStart: start, Started: time.Now().UTC()}
	if err := os.Mkdir(r.GuestDir(entry.Token), 0o700); err != nil {
		return Entry{}, err
	}
	return entry, r.Put(entry)
}

// Put writes an entry whole or not at all.
func (r *Registry) Put(entry Entry) error {
	text, err := json.MarshalIndent(entry, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(r.GuestDir(entry.Token), "entry.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Remove forgets a guest that no longer runs.
func (r *Registry) Remove(token string) error { return os.RemoveAll(r.GuestDir(token)) }

// Entries lists all guests, in the order they were started.
func (r *Registry) Entries() ([]Entry, error) {
	folders, err := os.ReadDir(filepath.Join(r.dir, "guests"))
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(folders))
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(r.GuestDir(folder.Name()), "entry.json"))
		if err != nil {
			continue // being made or removed by another lab
		}
		var entry Entry
		if json.Unmarshal(text, &entry) != nil || entry.Token != folder.Name() {
			return nil, fmt.Errorf("%s is damaged: remove the folder after checking that no QEMU named %s runs",
				r.GuestDir(folder.Name()), folder.Name())
		}
		entries = append(entries, entry)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Started.Before(entries[j].Started) })
	return entries, nil
}

// Find returns the guest with that name or token.
func (r *Registry) Find(name string) (Entry, error) {
	entries, err := r.Entries()
	if err != nil {
		return Entry{}, err
	}
	var names []string
	for _, entry := range entries {
		if !entry.Alive() {
			continue
		}
		if entry.Name == name || entry.Token == name {
			return entry, nil
		}
		names = append(names, entry.Name)
	}
	if len(names) == 0 {
		return Entry{}, fmt.Errorf("no guest %q: nothing runs (lab up starts a fleet)", name)
	}
	return Entry{}, fmt.Errorf("no guest %q: running are %s", name, strings.Join(names, ", "))
}

// Alive says whether the guest's QEMU runs: same pid, same start time and the
// token on its command line, so that a reused pid is never taken for it.
func (e Entry) Alive() bool {
	pid := e.findProcess()
	return pid != 0
}

// findProcess returns the pid of the entry's QEMU, or 0. When the lab died
// between starting the process and writing its pid, the token finds it.
func (e Entry) findProcess() int {
	if e.PID != 0 {
		start, err := processStart(e.PID)
		if err == nil && start == e.PIDStart && commandLineHas(e.PID, e.Token) {
			return e.PID
		}
		return 0
	}
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, folder := range folders {
		pid, err := strconv.Atoi(folder.Name())
		if err == nil && pid != os.Getpid() && commandLineHas(pid, "guest=lab-"+e.Token) {
			return pid
		}
	}
	return 0
}

// OwnerAlive says whether the lab that holds the guest's channels still runs.
func (e Entry) OwnerAlive() bool {
	start, err := processStart(e.Owner)
	return err == nil && start == e.OwnerStart
}

// DownReport says what Down did.
type DownReport struct {
	Stopped []string `json:"stopped"` // guests that were running
	Owners  []int    `json:"owners"`  // labs that were asked to stop
	Stale   int      `json:"stale"`   // entries without a process
}

// ownerGrace is how long a lab may take to stop its own guests.
const ownerGrace = 10 * time.Second

// Down ends every lab and guest of this registry and nothing else.
func (r *Registry) Down() (DownReport, error) {
	report := DownReport{Stopped: []string{}, Owners: []int{}}
	entries, err := r.Entries()
	if err != nil {
		return report, err
	}
	running := map[string]string{}
	for _, entry := range entries {
		if entry.Alive() {
			running[entry.Token] = entry.Name
		}
	}
	report.Owners = r.stopOwners(entries)
	var failures []error
	for _, entry := range entries {
		if name, ok := running[entry.Token]; ok {
			report.Stopped = append(report.Stopped, name)
		} else {
			report.Stale++
		}
		if err := entry.kill(); err != nil {
			failures = append(failures, err)
			continue
		}
		if err := r.Remove(entry.Token); err != nil {
			failures = append(failures, err)
		}
	}
	return report, errors.Join(failures...)
}

// stopOwners asks each living lab of the entries to stop and waits for it.
func (r *Registry) stopOwners(entries []Entry) []int {
	stopped := []int{}
	seen := map[int]bool{os.Getpid(): true}
	for _, entry := range entries {
		if seen[entry.Owner] {
			continue
		}
		seen[entry.Owner] = true
		if !entry.OwnerAlive() {
			continue
		}
		if terminate(entry.Owner, entry.OwnerAlive, ownerGrace) == nil {
			stopped = append(stopped, entry.Owner)
		}
	}
	return stopped
}

// kill ends the entry's QEMU, if it runs.
func (e Entry) kill() error {
	pid := e.findProcess()
	if pid == 0 {
		return nil
	}
	same := func() bool { return e.findProcess() == pid }
	if err := terminate(pid, same, 2*time.Second); err != nil {
		return fmt.Errorf("guest %s (pid %d): %w", e.Name, pid, err)
	}
	return nil
}

// terminate sends TERM and, after the grace, KILL through a pidfd: between the
// check that pid is the right process and the signal it cannot become another.
func terminate(pid int, same func() bool, grace time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !same() {
		return nil
	}
	for _, step := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, grace}, {unix.SIGKILL, 10 * time.Second}} {
		if err := unix.PidfdSendSignal(fd, step.signal, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return err
		}
		if waitGone(fd, step.wait) {
			return nil
		}
	}
	return errors.New("does not end after SIGKILL")
}

// waitGone waits until the process behind a pidfd has exited.
func waitGone(fd int, limit time.Duration) bool {
	until := time.Now().Add(limit)
	for {
		left := time.Until(until)
		if left < 0 {
			left = 0
		}
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, int(left.Milliseconds()))
		if n > 0 {
			return true
		}
		if err != nil && errors.Is(err, unix.EINTR) && left > 0 {
			continue
		}
		return false
	}
}
