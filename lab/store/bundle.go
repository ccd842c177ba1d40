// Bundles: the samples of one experiment, with all that is needed to judge
// them again.

package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/experiment"
)

// Fingerprint is what figures belong to: figures of different fingerprints are
// never compared.
type Fingerprint struct {
	KernelDigest string `json:"kernel_digest"` // SHA-256 of the image the guests booted
	Target       string `json:"target"`
	QEMU         string `json:"qemu"`
	QEMUFlags    string `json:"qemu_flags"`
	CPUModel     string `json:"cpu_model"`
	Seed         uint64 `json:"seed"` // of the workload
	HostClass    string `json:"host_class"`
}

// Purposes of a bundle.
const (
	PurposeExperiment  = "experiment"
	PurposeCalibration = "calibration"
)

// Bundle is one experiment as it is stored and as it comes back.
type Bundle struct {
	Purpose     string
	Plan        experiment.Plan
	Samples     []experiment.Sample
	Fingerprint Fingerprint
	Case        json.RawMessage // what else the caller needs to judge again
	Objects     [][]byte        // artefacts that Case names by Digest; not given back by Load
}

// manifest is a bundle with every content replaced by its digest.
type manifest struct {
	Format      int             `json:"format"`
	Purpose     string          `json:"purpose"`
	Hook        abi.HookID      `json:"hook"`
	Repeats     int             `json:"repeats"`
	Workload    workload        `json:"workload"`
	Arms        []arm           `json:"arms"`
	Samples     []sample        `json:"samples"`
	Fingerprint Fingerprint     `json:"fingerprint"`
	Case        json.RawMessage `json:"case,omitempty"`
}

type workload struct {
	Name        string       `json:"name"`
	Trace       string       `json:"trace"`
	Listens     []abi.Listen `json:"listens"`
	Phases      []abi.Phase  `json:"phases"`
	PacketCount uint32       `json:"packet_count"`
	IntervalNS  uint32       `json:"interval_ns"`
	Seed        uint64       `json:"seed"`
}

type arm struct {
	Name    string          `json:"name"`
	Role    experiment.Role `json:"role"`
	Program string          `json:"program"`
}

type sample struct {
	Arm     int    `json:"arm"`
	Repeat  int    `json:"repeat"`
	Nonce   string `json:"nonce"`
	Job     string `json:"job"`
	Hello   string `json:"hello"`  // frame as the guest sends it
	Report  string `json:"report"` // likewise
	Failure string `json:"failure,omitempty"`
	HostNS  int64  `json:"host_ns"`
}

const manifestFormat = 1

// Save stores a bundle and returns the digest of its manifest.
func (s *Store) Save(ctx context.Context, b Bundle) (evidence string, err error) {
	err = s.within(ctx, func(tx *sql.Tx) error {
		evidence, err = save(ctx, tx, b)
		return err
	})
	return evidence, s.say(err)
}

func save(ctx context.Context, tx *sql.Tx, b Bundle) (string, error) {
	m := manifest{Format: manifestFormat, Purpose: b.Purpose, Hook: b.Plan.Hook, Repeats: b.Plan.Repeats, Fingerprint: b.Fingerprint, Case: b.Case}
	w := b.Plan.Workload
	trace, err := put(ctx, tx, kindTrace, w.Trace)
	if err != nil {
		return "", err
	}
	m.Workload = workload{Name: w.Name, Trace: trace, Listens: w.Listens, Phases: w.Phases,
		PacketCount: w.PacketCount, IntervalNS: w.IntervalNS, Seed: w.Seed}
	for _, object := range b.Objects {
		if _, err := put(ctx, tx, kindObject, object); err != nil {
			return "", err
		}
	}
	for _, a := range b.Plan.Arms {
		program, err := put(ctx, tx, kindProgram, a.Program)
		if err != nil {
			return "", err
		}
		m.Arms = append(m.Arms, arm{Name: a.Name, Role: a.Role, Program: program})
	}
	for _, one := range b.Samples {
		kept, err := putSample(ctx, tx, one)
		if err != nil {
			return "", err
		}
		m.Samples = append(m.Samples, kept)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	evidence, err := put(ctx, tx, kindManifest, text)
	if err != nil {
		return "", err
	}
	return evidence, putRows(ctx, tx, evidence, &m, b.Samples)
}

// putSample stores what a guest was given and what it said.
func putSample(ctx context.Context, tx *sql.Tx, one experiment.Sample) (sample, error) {
	kept := sample{Arm: one.Arm, Repeat: one.Repeat, Nonce: hex.EncodeToString(one.Nonce[:]), Failure: one.Failure, HostNS: int64(one.Run.Host)}
	hello, report := make([]byte, abi.HelloBytes), make([]byte, abi.ReportBytes)
	one.Run.Hello.Put(hello)
	one.Run.Report.Put(report)
	var err error
	if kept.Job, err = putJob(ctx, tx, one.Job); err != nil {
		return kept, err
	}
	if kept.Hello, err = put(ctx, tx, kindHello, frame(abi.MessageHello, hello)); err != nil {
		return kept, err
	}
	kept.Report, err = put(ctx, tx, kindReport, frame(abi.MessageReport, report))
	return kept, err
}

func frame(kind uint16, payload []byte) []byte {
	out := make([]byte, abi.FrameHeaderBytes+len(payload))
	return out[:abi.PutFrame(out, kind, 0, payload)]
}

// payload takes the one frame of a kind out of an artefact.
func payload(content []byte, kind uint16) ([]byte, error) {
	header, inside, consumed, code := abi.ParseFrame(content)
	if code != abi.OK || header.Type != kind || consumed != len(content) {
		return nil, fmt.Errorf("%w: not one frame of type %d (%v)", ErrCorrupt, kind, code)
	}
	return inside, nil
}

// Load returns a stored bundle, every byte of it held against the digest it
// was asked for by.
func (s *Store) Load(ctx context.Context, evidence string) (b Bundle, err error) {
	err = s.within(ctx, func(tx *sql.Tx) error {
		b, err = load(ctx, tx, evidence)
		return err
	})
	return b, s.say(err)
}

func load(ctx context.Context, tx *sql.Tx, evidence string) (Bundle, error) {
	text, err := get(ctx, tx, evidence)
	if err != nil {
		return Bundle{}, err
	}
	var m manifest
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil || m.Format != manifestFormat {
		return Bundle{}, fmt.Errorf("%w: %.16s... is no manifest of format %d: %v", ErrCorrupt, evidence, manifestFormat, err)
	}
	b := Bundle{Purpose: m.Purpose, Fingerprint: m.Fingerprint, Case: m.Case, Plan: experiment.Plan{Hook: m.Hook, Repeats: m.Repeats}}
	w := m.Workload
	trace, err := get(ctx, tx, w.Trace)
	if err != nil {
		return b, fmt.Errorf("the trace: %w", err)
	}
	b.Plan.Workload = experiment.Workload{Name: w.Name, Trace: trace, Listens: w.Listens, Phases: w.Phases,
		PacketCount: w.PacketCount, IntervalNS: w.IntervalNS, Seed: w.Seed}
	for _, a := range m.Arms {
		program, err := get(ctx, tx, a.Program)
		if err != nil {
			return b, fmt.Errorf("the program of arm %s: %w", a.Name, err)
		}
		b.Plan.Arms = append(b.Plan.Arms, experiment.Arm{Name: a.Name, Role: a.Role, Program: program})
	}
	for _, kept := range m.Samples {
		one, err := getSample(ctx, tx, kept)
		if err != nil {
			return b, fmt.Errorf("sample of arm %d, repeat %d: %w", kept.Arm, kept.Repeat+1, err)
		}
		b.Samples = append(b.Samples, one)
	}
	return b, checkRows(ctx, tx, evidence, &m, b.Samples)
}

func getSample(ctx context.Context, tx *sql.Tx, kept sample) (experiment.Sample, error) {
	one := experiment.Sample{Arm: kept.Arm, Repeat: kept.Repeat, Failure: kept.Failure}
	one.Run.Host = time.Duration(kept.HostNS)
	nonce, err := hex.DecodeString(kept.Nonce)
	if err != nil || copy(one.Nonce[:], nonce) != len(one.Nonce) {
		return one, fmt.Errorf("%w: its nonce is %q", ErrCorrupt, kept.Nonce)
	}
	if one.Job, err = get(ctx, tx, kept.Job); err != nil {
		return one, fmt.Errorf("the job: %w", err)
	}
	for _, part := range []struct {
		name, digest string
		kind         uint16
		get          func([]byte) abi.Code
	}{
		{"hello", kept.Hello, abi.MessageHello, one.Run.Hello.Get},
		{"report", kept.Report, abi.MessageReport, one.Run.Report.Get},
	} {
		content, err := get(ctx, tx, part.digest)
		if err != nil {
			return one, fmt.Errorf("the %s: %w", part.name, err)
		}
		inside, err := payload(content, part.kind)
		if err != nil {
			return one, fmt.Errorf("the %s: %w", part.name, err)
		}
		if code := part.get(inside); code != abi.OK {
			return one, fmt.Errorf("%w: the %s: %v", ErrCorrupt, part.name, code)
		}
	}
	return one, nil
}
