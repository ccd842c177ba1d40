package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// signed makes a ledger of n signed entries.
func signed(t *testing.T, n int) (string, *Key) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	key, err := OpenKey(KeyPath(path))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b := body{Candidate: strings.Repeat("ab", 32), Insn: 1<<63 + uint64(i)}
		if _, err := (Shared{Path: path, Key: key}).Append("decision", b); err != nil {
			t.Fatal(err)
		}
	}
	return path, key
}

// lines of a ledger, each with its end.
func lines(t *testing.T, path string) [][]byte {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(whole, []byte("\n"))
	return all[:len(all)-1]
}

// readAll checks chain and signatures, as lab ledger does.
func readAll(path string, key *Public) ([]Entry, error) {
	var entries []Entry
	_, err := Read(path, func(e Entry) error {
		entries = append(entries, e)
		return e.CheckSignature(key)
	})
	return entries, err
}

func TestSignedEntries(t *testing.T) {
	path, key := signed(t, 3)
	entries, err := readAll(path, &key.Public)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	var got body
	if err := json.Unmarshal(entries[2].Body, &got); err != nil || got.Insn != 1<<63+2 {
		t.Errorf("the body came back as %s (%v): 64 bits must survive", entries[2].Body, err)
	}
	other, err := OpenKey(filepath.Join(t.TempDir(), "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(path, &other.Public); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	public, err := OpenPublic(PublicPath(KeyPath(path)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(path, public); err != nil {
		t.Errorf("the exported key: %v", err)
	}
}

// TestEveryChangedByteOfARecordIsSeen flips each bit of each byte of a signed
// record: once as it is, once by somebody who then mends every hash.
func TestEveryChangedByteOfARecordIsSeen(t *testing.T) {
	path, key := signed(t, 2)
	all := lines(t, path)
	record := all[1]
	mended := 0
	read := func(second []byte) error {
		_, _, _, err := walk(bytes.NewReader(append(bytes.Clone(all[0]), second...)), func(e Entry) error { return e.CheckSignature(&key.Public) })
		return err
	}
	if err := read(record); err != nil {
		t.Fatal(err)
	}
	for i := range record {
		changed := bytes.Clone(record)
		changed[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, append(bytes.Clone(all[0]), changed...), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(path, &key.Public); err == nil {
			t.Fatalf("byte %d (%q -> %q) changed unseen", i, record[i], changed[i])
		}
		var entry Entry
		if json.Unmarshal(changed, &entry) != nil {
			continue
		}
		entry.Hash = entry.hash()
		line, err := entry.line()
		if err != nil || bytes.Equal(line, record) {
			continue // the change was in the hash, or in how JSON is written
		}
		mended++
		if read(line) == nil {
			t.Fatalf("byte %d (%q -> %q) changed and hash mended, unseen", i, record[i], changed[i])
		}
	}
	if mended < len(record)/2 {
		t.Errorf("only %d changes could be mended", mended)
	}
}

// TestUnsignedMixtures: an old ledger stays readable and goes on signed; the
// other way round there is no way.
func TestUnsignedMixtures(t *testing.T) {
	path := write(t, 2)
	key, err := OpenKey(KeyPath(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Shared{Path: path, Key: key}).Append("decision", body{}); err != nil {
		t.Fatalf("an old ledger does not go on: %v", err)
	}
	if _, err := (Shared{Path: path}).Append("decision", body{}); err == nil || !strings.Contains(err.Error(), "may not follow") {
		t.Errorf("an unsigned entry followed a signed one: %v", err)
	}
	var marks []bool
	if _, err := Read(path, func(e Entry) error { marks = append(marks, e.Signed()); return nil }); err != nil || len(marks) != 3 || marks[1] || !marks[2] {
		t.Errorf("signed %v, %v", marks, err)
	}
	all := lines(t, path)
	var last Entry
	if err := json.Unmarshal(all[2], &last); err != nil {
		t.Fatal(err)
	}
	// Somebody takes the last signature off, after one that stays.
	stripped := Entry{ID: 3, Time: last.Time, Kind: "decision", Body: json.RawMessage(`{"candidate":"","insn":0}`), Prev: last.Hash}
	stripped.Hash = stripped.hash()
	line, err := stripped.line()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Join(all, nil), line...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, nil); !errors.Is(err, ErrChain) || !strings.Contains(err.Error(), "signature was taken off") {
		t.Errorf("a stripped entry: %v", err)
	}
}

// TestAnEntrySignedForAnotherPlace moves a good envelope to another number.
func TestAnEntrySignedForAnotherPlace(t *testing.T) {
	path, _ := signed(t, 2)
	all := lines(t, path)
	var first, second Entry
	if err := errors.Join(json.Unmarshal(all[0], &first), json.Unmarshal(all[1], &second)); err != nil {
		t.Fatal(err)
	}
	second.Envelope = first.Envelope
	second.Hash = second.hash()
	line, err := second.line()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Clone(all[0]), line...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, nil); !errors.Is(err, ErrChain) || !strings.Contains(err.Error(), "signed statement") {
		t.Errorf("a replayed envelope: %v", err)
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "lab.key")
	const labs = 4
	ids := make(chan string, labs)
	for range labs { // all at once, at first use
		go func() {
			key, err := OpenKey(path)
			if err != nil {
				ids <- err.Error()
				return
			}
			ids <- key.id
		}()
	}
	first := <-ids
	for range labs - 1 {
		if id := <-ids; id != first || len(id) != 64 {
			t.Fatalf("keys %s and %s", first, id)
		}
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, PublicPath(path): 0o644} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	for _, bad := range []string{"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(path, 0o600)
		if _, err := OpenKey(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q was taken for a key: %v", bad, err)
		}
	}
}

// FuzzRecord: no line makes the reader panic, and what it takes for a record is
// in the one form the ledger writes.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"id":0,"time":"2026-01-01T00:00:00Z","kind":"x","envelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]},"prev":"","hash":""}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		entry, err := check(line, tip{hash: Genesis})
		if err != nil {
			return
		}
		if again, err := entry.line(); err != nil || !bytes.Equal(again, line) {
			t.Errorf("%q is taken for a record and written as %q (%v)", line, again, err)
		}
	})
}
