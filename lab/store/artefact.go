// Artefacts: bytes under the SHA-256 of their content. A job of a third of a
// megabyte shares its trace with thirty others; it is kept as its parts.

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Kinds of artefact, for people who look into the file.
const (
	kindProgram  = "program"
	kindTrace    = "trace"
	kindJob      = "job"
	kindPart     = "part"
	kindHello    = "hello frame"
	kindReport   = "report frame"
	kindManifest = "manifest"
	kindObject   = "object"
)

// Digest names content.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// put stores content once.
func put(ctx context.Context, tx *sql.Tx, kind string, content []byte) (string, error) {
	digest := Digest(content)
	if content == nil {
		content = []byte{} // nothing is content too, and not NULL
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO artefacts (digest, kind, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", digest, kind, content)
	return digest, err
}

// putJob stores a job as what comes before its trace, the trace, and the rest.
func putJob(ctx context.Context, tx *sql.Tx, blob []byte) (string, error) {
	job, code := abi.ParseJob(blob)
	if code != abi.OK || job.Header.TraceBytes == 0 {
		return put(ctx, tx, kindJob, blob)
	}
	start := int(job.Header.TraceOffset)
	end := start + int(job.Header.TraceBytes)
	parts := ""
	for i, part := range [][]byte{blob[:start], blob[start:end], blob[end:]} {
		kind := kindPart
		if i == 1 {
			kind = kindTrace
		}
		digest, err := put(ctx, tx, kind, part)
		if err != nil {
			return "", err
		}
		parts += digest
	}
	digest := Digest(blob)
	_, err := tx.ExecContext(ctx, "INSERT INTO artefacts (digest, kind, parts) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", digest, kindJob, parts)
	return digest, err
}

// get returns an artefact whose content is what its name says.
func get(ctx context.Context, tx *sql.Tx, digest string) ([]byte, error) {
	content, parts, err := read(ctx, tx, digest)
	if err != nil {
		return nil, err
	}
	if parts != "" {
		if content, err = join(ctx, tx, digest, parts); err != nil {
			return nil, err
		}
	}
	if found := Digest(content); found != digest {
		return nil, fmt.Errorf("%w: artefact %.16s... was changed: its content is %.16s...", ErrCorrupt, digest, found)
	}
	return content, nil
}

func read(ctx context.Context, tx *sql.Tx, digest string) ([]byte, string, error) {
	var content []byte
	var parts sql.NullString
	err := tx.QueryRowContext(ctx, "SELECT bytes, parts FROM artefacts WHERE digest = ?", digest).Scan(&content, &parts)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", fmt.Errorf("artefact %.16s... is %w", digest, ErrMissing)
	}
	return content, parts.String, err
}

// partsMax bounds what one artefact is made of; parts have no parts.
const partsMax = 8

func join(ctx context.Context, tx *sql.Tx, whole, parts string) ([]byte, error) {
	const name = 2 * sha256.Size
	if len(parts)%name != 0 || len(parts) > partsMax*name {
		return nil, fmt.Errorf("%w: artefact %.16s... names its parts in no form of ours", ErrCorrupt, whole)
	}
	var content []byte
	for part := range slices.Chunk([]byte(parts), name) {
		bytes, nested, err := read(ctx, tx, string(part))
		if err != nil {
			return nil, fmt.Errorf("part of %.16s...: %w", whole, err)
		}
		if nested != "" {
			return nil, fmt.Errorf("%w: a part of artefact %.16s... has parts itself", ErrCorrupt, whole)
		}
		content = append(content, bytes...)
	}
	return content, nil
}

// Get returns one artefact.
func (s *Store) Get(ctx context.Context, digest string) (content []byte, err error) {
	err = s.within(ctx, func(tx *sql.Tx) error {
		content, err = get(ctx, tx, digest)
		return err
	})
	return content, s.say(err)
}

// Check reads every artefact and holds it against its name.
func (s *Store) Check(ctx context.Context) (artefacts int, err error) {
	err = s.within(ctx, func(tx *sql.Tx) error {
		names, err := column(ctx, tx, "SELECT digest FROM artefacts")
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := get(ctx, tx, name); err != nil {
				return err
			}
		}
		artefacts = len(names)
		return nil
	})
	return artefacts, s.say(err)
}

func column(ctx context.Context, tx *sql.Tx, query string, arguments ...any) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
