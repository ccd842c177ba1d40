// Package store keeps what was measured, so that a decision can be made again
// from its raw samples: every sample with the fingerprint it belongs to, and
// every artefact (program, trace, job, report frame, manifest) under the
// SHA-256 of its content. It is one SQLite file beside the ledger.
//
// Invariants:
//   - a bundle is stored whole in one transaction or not at all; a full disk or
//     a killed lab loses nothing that was stored before;
//   - the manifest of a bundle names every artefact and sample by content, and
//     its own digest stands in the signed ledger: Load returns what was stored
//     or an error that names the place, never something else;
//   - the rows of the table samples are for queries; Load holds each of them
//     against the manifest.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// Errors that callers tell apart; all are wrapped with the file's name.
var (
	ErrCorrupt = errors.New("the evidence is damaged")
	ErrFull    = errors.New("no space is left for the evidence; nothing of this bundle was stored, what was stored before is whole")
	ErrBusy    = errors.New("another lab holds the evidence and did not let go")
	ErrMissing = errors.New("not among the evidence")
)

// Result codes of SQLite (sqlite.org/rescode.html); extended ones keep them in
// the low byte.
const (
	codeBusy        = 5
	codeCorrupt     = 11
	codeFull        = 13
	codeNotDatabase = 26
)

const (
	applicationID = 0x6c616265 // "labe": a database of ours, and no other program's
	schemaVersion = 1
	busyPatience  = 15_000 // ms
)

const schema = `
CREATE TABLE artefacts (
  digest TEXT PRIMARY KEY CHECK (length(digest) = 64),
  kind   TEXT NOT NULL,
  bytes  BLOB,           -- the content, or
  parts  TEXT            -- digests of the artefacts it is made of, one after the other
) WITHOUT ROWID;
CREATE TABLE fingerprints (
  id            TEXT PRIMARY KEY,
  kernel_digest TEXT NOT NULL,
  target        TEXT NOT NULL,
  qemu          TEXT NOT NULL,
  qemu_flags    TEXT NOT NULL,
  cpu_model     TEXT NOT NULL,
  seed          TEXT NOT NULL, -- text: SQLite's integers end at 2^63
  host_class    TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE samples (
  evidence         TEXT NOT NULL REFERENCES artefacts(digest),
  arm              INTEGER NOT NULL,
  repeat           INTEGER NOT NULL,
  purpose          TEXT NOT NULL,
  name             TEXT NOT NULL,
  role             TEXT NOT NULL,
  program          TEXT NOT NULL,
  job              TEXT NOT NULL,
  hello            TEXT NOT NULL,
  report           TEXT NOT NULL,
  failure          TEXT NOT NULL,
  insn_total       INTEGER NOT NULL,
  offered          INTEGER NOT NULL,
  needed_offered   INTEGER NOT NULL,
  needed_delivered INTEGER NOT NULL,
  host_ns          INTEGER NOT NULL,
  fingerprint      TEXT NOT NULL REFERENCES fingerprints(id),
  PRIMARY KEY (evidence, arm, repeat)
) WITHOUT ROWID;`

// Store is an open evidence file. Several labs may have it open at once.
type Store struct {
	db   *sql.DB
	path string
}

// Path is where the evidence of a ledger lies.
func Path(ledger string) string { return filepath.Join(filepath.Dir(ledger), "evidence.db") }

// Open opens the evidence for writing and makes the file when there is none.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return open(ctx, path, "rwc")
}

// OpenExisting opens evidence for reading; it makes and changes nothing.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return open(ctx, path, "ro")
}

func open(ctx context.Context, path, mode string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	options := url.Values{"mode": {mode}, "_txlock": {"immediate"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyPatience), "foreign_keys(1)", "synchronous(FULL)", "trusted_schema(0)", "cell_size_check(1)"}}
	if mode == "ro" {
		options["_txlock"] = []string{"deferred"}
	}
	name := url.URL{Scheme: "file", Path: absolute, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("evidence %s: %w", path, err)
	}
	db.SetMaxOpenConns(1) // the lock between labs is SQLite's; within one there is nothing to win
	s := &Store{db: db, path: path}
	if err := s.prepare(ctx, mode); err != nil {
		db.Close()
		return nil, s.say(err)
	}
	return s, nil
}

// prepare makes the tables of a new file and checks those of an old one.
func (s *Store) prepare(ctx context.Context, mode string) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		var application, version, tables int
		err := errors.Join(
			tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application),
			tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
			tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables))
		switch {
		case err != nil:
			return err
		case tables == 0 && application == 0 && mode != "ro":
			_, err := tx.ExecContext(ctx, fmt.Sprintf("%s\nPRAGMA application_id = %d; PRAGMA user_version = %d;", schema, applicationID, schemaVersion))
			return err
		case application != applicationID:
			return fmt.Errorf("%w: the file is no evidence of a lab", ErrCorrupt)
		case version != schemaVersion:
			return fmt.Errorf("the evidence has format %d, this lab reads format %d", version, schemaVersion)
		}
		return quickCheck(ctx, tx)
	})
}

// quickCheck asks SQLite whether the file's own structure holds.
func quickCheck(ctx context.Context, tx *sql.Tx) error {
	var said string
	if err := tx.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, said)
	}
	return nil
}

// within runs work in one transaction.
func (s *Store) within(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback() // a full disk has rolled back already
		return err
	}
	return tx.Commit()
}

// say puts the file's name and one of the errors above on what SQLite says.
func (s *Store) say(err error) error {
	if err == nil {
		return nil
	}
	var raw *sqlite.Error
	if errors.As(err, &raw) {
		switch raw.Code() & 0xff {
		case codeFull:
			err = fmt.Errorf("%w (%v)", ErrFull, err)
		case codeBusy:
			err = fmt.Errorf("%w (%v)", ErrBusy, err)
		case codeCorrupt, codeNotDatabase:
			err = fmt.Errorf("%w (%v)", ErrCorrupt, err)
		}
	}
	return fmt.Errorf("evidence %s: %w", s.path, err)
}

// Close releases the file.
func (s *Store) Close() error { return s.db.Close() }

// Limit lets the file grow by so many pages and no further: a bound on disk use,
// and how the tests fill a disk.
func (s *Store) Limit(ctx context.Context, pages int) error {
	var now, limit int
	if err := s.db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&now); err != nil {
		return s.say(err)
	}
	return s.say(s.db.QueryRowContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", now+pages)).Scan(&limit))
}
