package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
	"github.com/kingly-os/go-kernel/lab/sim"
	"github.com/kingly-os/go-kernel/lab/store"
)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// bundle is two arms on made-up figures; seed makes it another.
func bundle(t *testing.T, seed uint64) store.Bundle {
	t.Helper()
	plan := experiment.Plan{Hook: abi.HookNetRX, Repeats: 2, Workload: sim.ExampleWorkload(seed, 100), Arms: []experiment.Arm{
		{Name: "default", Role: experiment.RoleDefault}, {Name: "pass", Role: experiment.RolePass, Program: make([]byte, 16)}}}
	b := store.Bundle{Purpose: store.PurposeExperiment, Plan: plan, Case: []byte(`{"a":1}`), Objects: [][]byte{{1, 2, 3}},
		Fingerprint: store.Fingerprint{KernelDigest: "k", Target: "t", QEMU: "q", QEMUFlags: "f", CPUModel: "c", Seed: 1<<63 + seed, HostClass: "h"}}
	for i, arm := range plan.Arms {
		for repeat := range plan.Repeats {
			one := experiment.Sample{Arm: i, Repeat: repeat, Nonce: [32]byte{byte(i), byte(repeat), byte(seed)}}
			var err error
			if one.Job, err = experiment.BuildJob(plan.Workload, arm, one.Nonce); err != nil {
				t.Fatal(err)
			}
			one.Run = experiment.Run{Host: 5, Report: abi.Report{Offered: 100, InsnTotal: 1<<40 + uint64(i), NeededOffered: 9},
				Hello: abi.Hello{CPUs: 1, BootInsnCPU0: 77}}
			b.Samples = append(b.Samples, one)
		}
	}
	b.Samples[3].Failure = "guest hung"
	return b
}

func TestSaveAndLoad(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "deep", "evidence.db")
	s, want := open(t, path), bundle(t, 1)
	evidence, err := s.Save(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Save(ctx, want)
	if err != nil || again != evidence {
		t.Errorf("saved twice: %s, then %s, %v", evidence, again, err)
	}
	s.Close()
	reader, err := store.OpenExisting(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, err := reader.Load(ctx, evidence)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Plan.Arms[0].Program) == 0 {
		got.Plan.Arms[0].Program = nil
	}
	want.Objects = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n%+v\ncame back as\n%+v", want.Fingerprint, got.Fingerprint)
	}
	if object, err := reader.Get(ctx, store.Digest([]byte{1, 2, 3})); err != nil || !bytes.Equal(object, []byte{1, 2, 3}) {
		t.Errorf("the object: %v, %v", object, err)
	}
	if rows, err := reader.Rows(ctx, evidence); err != nil || len(rows) != 4 || rows[2].InsnTotal != 1<<40+1 || rows[3].Failure != "guest hung" {
		t.Errorf("rows %+v, %v", rows, err)
	}
	if artefacts, err := reader.Check(ctx); err != nil || artefacts < 8 {
		t.Errorf("%d artefacts, %v", artefacts, err)
	}
	if _, err := reader.Load(ctx, strings.Repeat("0", 64)); !errors.Is(err, store.ErrMissing) {
		t.Errorf("evidence that is not there: %v", err)
	}
	if _, err := reader.Save(ctx, want); err == nil {
		t.Error("a reader wrote")
	}
}

// TestEveryPageDamaged changes one byte at a time all over the file: what comes
// back is what was stored, or an error; never something else.
func TestEveryPageDamaged(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "evidence.db")
	s := open(t, path)
	evidence, err := s.Save(ctx, bundle(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Load(ctx, evidence)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const step = 131 // a prime: every offset within a page comes up
	refused := 0
	for i := 0; i < len(whole); i += step {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x41
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		reader, err := store.OpenExisting(ctx, path)
		if err != nil {
			refused++
			continue
		}
		got, err := reader.Load(ctx, evidence)
		reader.Close()
		switch {
		case err != nil:
			refused++
		case !reflect.DeepEqual(got, want):
			t.Fatalf("byte %d changed, and something else came back", i)
		}
	}
	t.Logf("%d of %d changes refused; the others touched nothing of the bundle", refused, len(whole)/step+1)
	if refused < len(whole)/step/4 {
		t.Error("most changes were not seen")
	}
}

func TestWhatIsNoEvidence(t *testing.T) {
	ctx := context.Background()
	for name, content := range map[string]string{"text": strings.Repeat("no database ", 100), "cut": "SQLite format 3\x00"} {
		path := filepath.Join(t.TempDir(), "evidence.db")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(ctx, path); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE somebody_elses (x)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := store.Open(ctx, path); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("another program's database: %v", err)
	}
	if _, err := store.OpenExisting(ctx, filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "evidence.db")
	s := open(t, path)
	first, err := s.Save(ctx, bundle(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Limit(ctx, 0); err != nil { // no page more
		t.Fatal(err)
	}
	large := bundle(t, 4)
	large.Objects = append(large.Objects, make([]byte, 1<<20))
	if _, err := s.Save(ctx, large); !errors.Is(err, store.ErrFull) {
		t.Fatalf("a full disk: %v", err)
	}
	if _, err := s.Load(ctx, first); err != nil {
		t.Errorf("what was stored before: %v", err)
	}
	if err := s.Limit(ctx, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(ctx, large); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestWritersAtOnce: two labs, one file, nothing lost.
func TestWritersAtOnce(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "evidence.db")
	const labs, each = 3, 4
	saved := make(chan string, labs*each)
	failures := make(chan error, labs)
	for lab := range labs {
		bundles := make([]store.Bundle, each)
		for i := range bundles {
			bundles[i] = bundle(t, uint64(10*lab+i))
		}
		go func() {
			s, err := store.Open(ctx, path) // the first one makes the tables
			if err != nil {
				failures <- err
				return
			}
			defer s.Close()
			for _, b := range bundles {
				evidence, err := s.Save(ctx, b)
				if err != nil {
					failures <- err
					return
				}
				saved <- evidence
			}
			failures <- nil
		}()
	}
	for range labs {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
	}
	close(saved)
	s := open(t, path)
	for evidence := range saved {
		if _, err := s.Load(ctx, evidence); err != nil {
			t.Error(err)
		}
	}
}
