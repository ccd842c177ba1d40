// The tables for queries: one row per sample, one per fingerprint. They repeat
// what the manifest says, and are held against it whenever a bundle is loaded.

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/kingly-os/go-kernel/lab/experiment"
)

// Row is one sample as the table shows it.
type Row struct {
	Arm, Repeat                                               int
	Purpose, Name, Role, Program, Job, Hello, Report, Failure string
	InsnTotal, Offered, NeededOffered, NeededDelivered        int64
	HostNS                                                    int64
	Fingerprint                                               string
}

const rowColumns = `arm, repeat, purpose, name, role, program, job, hello, report, failure,
  insn_total, offered, needed_offered, needed_delivered, host_ns, fingerprint`

// fields are the row's values in the order of rowColumns.
func (r *Row) fields() []any {
	return []any{&r.Arm, &r.Repeat, &r.Purpose, &r.Name, &r.Role, &r.Program, &r.Job, &r.Hello, &r.Report, &r.Failure,
		&r.InsnTotal, &r.Offered, &r.NeededOffered, &r.NeededDelivered, &r.HostNS, &r.Fingerprint}
}

// rowsOf are the rows that belong to a manifest and its samples.
func rowsOf(m *manifest, samples []experiment.Sample) ([]Row, error) {
	id, err := m.Fingerprint.id()
	if err != nil {
		return nil, err
	}
	var rows []Row
	for i, kept := range m.Samples {
		if kept.Arm < 0 || kept.Arm >= len(m.Arms) {
			return nil, fmt.Errorf("%w: a sample of arm %d, there are %d arms", ErrCorrupt, kept.Arm, len(m.Arms))
		}
		a, report := m.Arms[kept.Arm], samples[i].Run.Report
		rows = append(rows, Row{Arm: kept.Arm, Repeat: kept.Repeat, Purpose: m.Purpose, Name: a.Name, Role: string(a.Role), Program: a.Program,
			Job: kept.Job, Hello: kept.Hello, Report: kept.Report, Failure: kept.Failure, InsnTotal: int64(report.InsnTotal),
			Offered: int64(report.Offered), NeededOffered: int64(report.NeededOffered), NeededDelivered: int64(report.NeededDelivered),
			HostNS: kept.HostNS, Fingerprint: id})
	}
	return rows, nil
}

// id names a fingerprint by its content.
func (f Fingerprint) id() (string, error) {
	text, err := json.Marshal(f)
	return Digest(text), err
}

func putRows(ctx context.Context, tx *sql.Tx, evidence string, m *manifest, samples []experiment.Sample) error {
	rows, err := rowsOf(m, samples)
	if err != nil {
		return err
	}
	id, err := m.Fingerprint.id()
	if err != nil {
		return err
	}
	f := m.Fingerprint
	_, err = tx.ExecContext(ctx, "INSERT INTO fingerprints VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		id, f.KernelDigest, f.Target, f.QEMU, f.QEMUFlags, f.CPUModel, strconv.FormatUint(f.Seed, 10), f.HostClass)
	if err != nil {
		return err
	}
	for i := range rows {
		values := append([]any{evidence}, rows[i].fields()...)
		_, err := tx.ExecContext(ctx, "INSERT INTO samples (evidence, "+rowColumns+
			") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values...)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRows holds the tables against the manifest.
func checkRows(ctx context.Context, tx *sql.Tx, evidence string, m *manifest, samples []experiment.Sample) error {
	want, err := rowsOf(m, samples)
	if err != nil {
		return err
	}
	for i := range want {
		var got Row
		err := tx.QueryRowContext(ctx, "SELECT "+rowColumns+" FROM samples WHERE evidence = ? AND arm = ? AND repeat = ?",
			evidence, want[i].Arm, want[i].Repeat).Scan(got.fields()...)
		if err != nil {
			return fmt.Errorf("the row of arm %s, repeat %d: %w", want[i].Name, want[i].Repeat+1, err)
		}
		if got != want[i] {
			return fmt.Errorf("%w: the row of arm %s, repeat %d is %+v, its sample is %+v", ErrCorrupt, want[i].Name, want[i].Repeat+1, got, want[i])
		}
	}
	var count int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM samples WHERE evidence = ?", evidence).Scan(&count); err != nil {
		return err
	}
	if count != len(want) {
		return fmt.Errorf("%w: %d rows of samples, the manifest has %d", ErrCorrupt, count, len(want))
	}
	return checkFingerprint(ctx, tx, m.Fingerprint)
}

func checkFingerprint(ctx context.Context, tx *sql.Tx, want Fingerprint) error {
	id, err := want.id()
	if err != nil {
		return err
	}
	var got Fingerprint
	var seed string
	err = tx.QueryRowContext(ctx, "SELECT kernel_digest, target, qemu, qemu_flags, cpu_model, seed, host_class FROM fingerprints WHERE id = ?", id).
		Scan(&got.KernelDigest, &got.Target, &got.QEMU, &got.QEMUFlags, &got.CPUModel, &seed, &got.HostClass)
	if err != nil {
		return fmt.Errorf("the fingerprint: %w", err)
	}
	if got.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil || got != want {
		return fmt.Errorf("%w: the row of the fingerprint is %+v, the manifest says %+v", ErrCorrupt, got, want)
	}
	return nil
}

// Rows returns the samples of a bundle, as the table shows them.
func (s *Store) Rows(ctx context.Context, evidence string) ([]Row, error) {
	var all []Row
	err := s.within(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+rowColumns+" FROM samples WHERE evidence = ? ORDER BY arm, repeat", evidence)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var one Row
			if err := rows.Scan(one.fields()...); err != nil {
				return err
			}
			all = append(all, one)
		}
		return rows.Err()
	})
	return all, s.say(err)
}

// Suites of a bundle: what traffic decided it.
func (b *Bundle) Suites() []string { return []string{b.Plan.Workload.Name} }
