package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Shared appends to a ledger that other labs write to as well: it holds the
// file only while it appends.
type Shared struct {
	Path string
	Key  *Key          // signs; nil: unsigned
	Wait time.Duration // for another writer to finish; 0 = 10 s
}

// DefaultPath is where a user's ledger is kept: it outlives every fleet.
func DefaultPath() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for the ledger: set LAB_LEDGER: %w", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "go-kernel-lab", "ledger.jsonl"), nil
}

// Append opens, appends and closes.
func (s Shared) Append(kind string, body any) (Entry, error) {
	wait := s.Wait
	if wait == 0 {
		wait = 10 * time.Second
	}
	deadline := time.Now().Add(wait)
	for {
		l, err := Open(s.Path)
		if errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if err != nil {
			return Entry{}, err
		}
		l.Key = s.Key
		entry, err := l.Append(kind, body)
		if closing := l.Close(); err == nil {
			err = closing
		}
		return entry, err
	}
}
