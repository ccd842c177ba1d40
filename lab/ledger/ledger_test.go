package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type body struct {
	Candidate string `json:"candidate"`
	Insn      uint64 `json:"insn"`
}

// write makes a ledger of n entries and returns its path.
func write(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state", "ledger.jsonl")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Now = func() time.Time { return time.Unix(1700000000, 5000) }
	for i := 0; i < n; i++ {
		if _, err := l.Append("decision", body{Candidate: strings.Repeat("<é>", i), Insn: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestAppendReopenRead(t *testing.T) {
	path := write(t, 5)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := l.Append("note", body{})
	if err != nil || entry.ID != 5 {
		t.Fatalf("appended %+v, %v", entry, err)
	}
	l.Close()
	seen := 0
	count, err := Read(path, func(e Entry) error { seen++; return nil })
	if err != nil || count != 6 || seen != 6 {
		t.Fatalf("read %d entries, visited %d: %v", count, seen, err)
	}
}

// TestEveryChangedByteIsSeen flips one bit in each byte of a ledger in turn.
func TestEveryChangedByteIsSeen(t *testing.T) {
	path := write(t, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, nil); !errors.Is(err, ErrChain) {
			t.Fatalf("byte %d (%q -> %q) changed unseen: %v", i, whole[i], changed[i], err)
		}
	}
}

func TestRemovedAndSwappedLinesAreSeen(t *testing.T) {
	path := write(t, 4)
	whole, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(whole, []byte("\n"))[:4]
	for name, order := range map[string][]int{
		"first removed": {1, 2, 3}, "middle removed": {0, 2, 3}, "swapped": {0, 2, 1, 3}, "doubled": {0, 1, 1, 2, 3},
	} {
		var changed []byte
		for _, i := range order {
			changed = append(changed, lines[i]...)
		}
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, nil); !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Open(path); !errors.Is(err, ErrChain) {
			t.Errorf("%s, opened for appending: %v", name, err)
		}
	}
}

// TestTornTail cuts the last line at every length: what was whole stays, what
// was torn is set aside and kept.
func TestTornTail(t *testing.T) {
	path := write(t, 3)
	whole, _ := os.ReadFile(path)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last + 1; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path, nil); !errors.Is(err, ErrChain) {
			t.Fatalf("cut at %d: Read said %v", cut, err)
		}
		l, err := Open(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if l.Cut != int64(cut-last) {
			t.Fatalf("cut at %d: %d bytes set aside, want %d", cut, l.Cut, cut-last)
		}
		if entry, err := l.Append("decision", body{}); err != nil || entry.ID != 2 {
			t.Fatalf("cut at %d: %+v, %v", cut, entry, err)
		}
		l.Close()
		if count, err := Read(path, nil); err != nil || count != 3 {
			t.Fatalf("cut at %d: %d entries, %v", cut, count, err)
		}
	}
}

func TestOneWriterAtATime(t *testing.T) {
	path := write(t, 1)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if second, err := Open(path); err == nil {
		second.Close()
		t.Fatal("two writers hold one ledger")
	}
}

func TestFullDisk(t *testing.T) {
	path := write(t, 2)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	good := l.file
	l.file = full
	if _, err := l.Append("decision", body{}); err == nil {
		t.Fatal("a full disk took an entry")
	}
	full.Close()
	l.file = good
	if entry, err := l.Append("decision", body{}); err != nil || entry.ID != 2 {
		t.Fatalf("after the full disk: %+v, %v", entry, err)
	}
	if count, err := Read(path, nil); err != nil || count != 3 {
		t.Fatalf("%d entries, %v", count, err)
	}
}

func TestSharedWritersKeepOneChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	const writers, entries = 4, 10
	failures := make(chan error, writers)
	for range writers {
		go func() {
			for range entries {
				if _, err := (Shared{Path: path}).Append("note", body{}); err != nil {
					failures <- err
					return
				}
			}
			failures <- nil
		}()
	}
	for range writers {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
	if count, err := Read(path, nil); err != nil || count != writers*entries {
		t.Errorf("%d entries, %v", count, err)
	}
}
