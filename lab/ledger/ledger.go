// Package ledger keeps decisions. A ledger is a file of JSON lines, append
// only: each line carries the SHA-256 of the line before it, so a changed,
// removed or inserted line breaks the chain from there on. An entry is signed:
// its line holds a DSSE envelope around an in-toto statement (statement.go).
// Ledgers of the first format had bare bodies; they stay readable and are said
// to be unsigned, and no unsigned line may follow a signed one.
//
// A line is written whole and synced before Append returns. What a crash can
// leave is a last line without its end: Open cuts such a tail off into a file
// beside the ledger, says so, and goes on. Anything else that is wrong is
// reported and never mended.
package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// lineBytesMax bounds one line on reading.
const lineBytesMax = 4 << 20

// Genesis is the previous hash of the first line: SHA-256 of nothing.
var Genesis = hex.EncodeToString(func() []byte { s := sha256.Sum256(nil); return s[:] }())

// ErrChain is wrapped by every error about a line that does not fit.
var ErrChain = errors.New("the ledger's chain is broken")

// Entry is one line. A signed line has its body inside the envelope; readers
// find it in Body all the same. Both are kept as the bytes that were hashed.
type Entry struct {
	ID       uint64          `json:"id"`
	Time     time.Time       `json:"time"`
	Kind     string          `json:"kind"`
	Body     json.RawMessage `json:"body,omitempty"`
	Envelope json.RawMessage `json:"envelope,omitempty"`
	Prev     string          `json:"prev"`
	Hash     string          `json:"hash"`
}

// hash covers every field of the line but Hash itself, each with its length,
// so that no two different entries give the same bytes.
func (e *Entry) hash() string {
	h := sha256.New()
	parts := [][]byte{
		[]byte(fmt.Sprint(e.ID)), []byte(e.Time.UTC().Format(time.RFC3339Nano)),
		[]byte(e.Kind), e.Body, []byte(e.Prev),
	}
	if e.Signed() {
		parts[3] = nil // the envelope holds it
		parts = append(parts, e.Envelope)
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Ledger is an open file. Its methods may be called from several goroutines;
// a lock on the file keeps other processes out.
type Ledger struct {
	mutex sync.Mutex
	file  *os.File
	path  string
	tip   tip

	// Key signs what is appended. Without one entries are unsigned, which only a
	// ledger without signed entries takes.
	Key *Key
	// Now is the clock, replaceable in tests.
	Now func() time.Time
	// Cut is how many bytes of a torn last line Open set aside.
	Cut int64
}

// Open opens or makes a ledger for appending and checks the whole chain.
func Open(path string) (*Ledger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("ledger %s is in use by another lab: %w", path, err)
	}
	l := &Ledger{file: file, path: path, Now: time.Now}
	if err := l.recover(); err != nil {
		file.Close()
		return nil, err
	}
	return l, nil
}

// recover walks the chain and sets a torn tail aside.
func (l *Ledger) recover() error {
	end, good, torn, err := walk(l.file, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	if len(torn) > 0 {
		if err := os.WriteFile(fmt.Sprintf("%s.torn-%d", l.path, good), torn, 0o644); err != nil {
			return err
		}
		if err := l.file.Truncate(good); err != nil {
			return err
		}
		l.Cut = int64(len(torn))
	}
	if _, err := l.file.Seek(good, io.SeekStart); err != nil {
		return err
	}
	l.tip = end
	return l.file.Sync()
}

// Append adds one entry and returns it once it is on the disk.
func (l *Ledger) Append(kind string, body any) (Entry, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return Entry{}, fmt.Errorf("ledger entry %q: %w", kind, err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	entry := Entry{ID: l.tip.count, Time: l.Now().UTC().Truncate(time.Microsecond), Kind: kind, Body: encoded, Prev: l.tip.hash}
	switch {
	case l.Key != nil:
		if entry.Envelope, err = seal(entry, l.Key); err != nil {
			return Entry{}, fmt.Errorf("signing ledger entry %q: %w", kind, err)
		}
	case l.tip.signed:
		return Entry{}, fmt.Errorf("ledger %s is signed: an unsigned entry %q may not follow", l.path, kind)
	}
	entry.Hash = entry.hash()
	line, err := entry.line()
	if err != nil {
		return Entry{}, err
	}
	if len(line) >= lineBytesMax {
		return Entry{}, fmt.Errorf("ledger entry %q: %d bytes, at most %d", kind, len(line), lineBytesMax-1)
	}
	if err := l.write(line); err != nil {
		return Entry{}, err
	}
	l.tip = tip{count: entry.ID + 1, hash: entry.Hash, signed: entry.Signed()}
	return entry, nil
}

// line is the one encoding of an entry.
func (e Entry) line() ([]byte, error) {
	if e.Signed() {
		e.Body = nil
	}
	encoded, err := json.Marshal(e)
	return append(encoded, '\n'), err
}

// write adds a whole line or, when the disk is full, none of it.
func (l *Ledger) write(line []byte) error {
	start, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	_, err = l.file.Write(line)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		_ = l.file.Truncate(start) // a tail that stays behind is cut by the next Open
		_, _ = l.file.Seek(start, io.SeekStart)
		return fmt.Errorf("ledger %s: %w", l.path, err)
	}
	return nil
}

// Close releases the file and its lock.
func (l *Ledger) Close() error { return l.file.Close() }

// Read calls visit for each entry of a ledger file, checking the chain as it
// goes. A torn last line is an error here: only Open may set it aside.
func Read(path string, visit func(Entry) error) (count uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	end, good, torn, err := walk(file, visit)
	if err == nil && len(torn) > 0 {
		err = fmt.Errorf("%w: entry %d at byte %d has no end (%d bytes): a write was cut short", ErrChain, end.count, good, len(torn))
	}
	if err != nil {
		return end.count, fmt.Errorf("%s: %w", path, err)
	}
	return end.count, nil
}

// tip is the end of a chain: what the next line has to fit.
type tip struct {
	count  uint64
	hash   string // of the last line
	signed bool   // the last line was
}

// walk reads line by line; good is the offset after the last whole line.
func walk(file io.Reader, visit func(Entry) error) (end tip, good int64, torn []byte, err error) {
	reader := bufio.NewReaderSize(file, 64<<10)
	end.hash = Genesis
	broken := func(err error) (tip, int64, []byte, error) {
		return end, good, nil, fmt.Errorf("%w: entry %d at byte %d: %v", ErrChain, end.count, good, err)
	}
	for {
		line, err := readLine(reader)
		if err == io.EOF {
			return end, good, line, nil
		}
		if err != nil {
			return broken(err)
		}
		entry, err := check(line, end)
		if err != nil {
			return broken(err)
		}
		if visit != nil {
			if err := visit(entry); err != nil {
				return end, good, nil, err
			}
		}
		end = tip{count: end.count + 1, hash: entry.Hash, signed: entry.Signed()}
		good += int64(len(line))
	}
}

func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > lineBytesMax {
			return nil, fmt.Errorf("line longer than %d bytes", lineBytesMax)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// check decodes one line and holds it against the chain.
func check(line []byte, at tip) (Entry, error) {
	var entry Entry
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&entry); err != nil {
		return entry, err
	}
	switch {
	case entry.ID != at.count:
		return entry, fmt.Errorf("carries the number %d", entry.ID)
	case entry.Prev != at.hash:
		return entry, fmt.Errorf("does not follow the line before it: prev is %.16s..., the hash there is %.16s...", entry.Prev, at.hash)
	case entry.hash() != entry.Hash:
		return entry, fmt.Errorf("was changed after it was written: hash is %.16s..., its content gives %.16s...", entry.Hash, entry.hash())
	case at.signed && !entry.Signed():
		return entry, errors.New("is unsigned and follows a signed one: its signature was taken off")
	}
	// The hash covers the fields; the line must be the one encoding of them,
	// so that bytes outside the fields cannot be changed either.
	again, err := entry.line()
	if err != nil || !bytes.Equal(again, line) {
		return entry, errors.New("is not in the form the ledger writes")
	}
	if entry.Signed() {
		return entry, unseal(&entry)
	}
	return entry, nil
}
