// What a signed entry says: an in-toto statement whose predicate holds the
// entry, so that number, time, kind and place in the chain are signed together
// with the body.

package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	payloadType = "application/vnd.in-toto+json"

	// PredicateType names the shape of the predicate below.
	PredicateType = "https://github.com/kingly-os/go-kernel/lab/ledger/entry/v1"
)

// ErrSignature is wrapped by every error about a signature that does not hold.
var ErrSignature = errors.New("the signature does not hold")

// statement is an in-toto statement. The type of the in-toto module keeps
// numbers as floats, which a seed of 64 bits does not survive, so it only
// checks what this one writes and reads.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	ID   uint64          `json:"id"`
	Time time.Time       `json:"time"`
	Kind string          `json:"kind"`
	Prev string          `json:"prev"`
	Body json.RawMessage `json:"body"`
}

// seal signs an entry: its body moves into the envelope.
func seal(e Entry, key *Key) (json.RawMessage, error) {
	payload, err := json.Marshal(statement{Type: intoto.StatementTypeUri, Subject: subjects(e), PredicateType: PredicateType,
		Predicate: predicate{ID: e.ID, Time: e.Time, Kind: e.Kind, Prev: e.Prev, Body: e.Body}})
	if err != nil {
		return nil, err
	}
	if err := validate(payload); err != nil {
		return nil, err
	}
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, err
	}
	envelope, err := signer.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// subjects are what the entry is about: its body, and what the body names by
// digest: the program, the evidence.
func subjects(e Entry) []subject {
	sum := sha256.Sum256(e.Body)
	all := []subject{{"body", map[string]string{"sha256": hex.EncodeToString(sum[:])}}}
	var named struct{ Candidate, Promoted, Evidence string }
	_ = json.Unmarshal(e.Body, &named) // a body of another shape names nothing
	for _, one := range []struct{ name, digest string }{
		{"candidate", named.Candidate}, {"promoted", named.Promoted}, {"evidence", named.Evidence},
	} {
		if raw, err := hex.DecodeString(one.digest); err == nil && len(raw) == sha256.Size {
			all = append(all, subject{one.name, map[string]string{"sha256": one.digest}})
		}
	}
	return all
}

// validate asks the in-toto module whether this is a statement.
func validate(payload []byte) error {
	var known intoto.Statement
	if err := protojson.Unmarshal(payload, &known); err != nil {
		return fmt.Errorf("not an in-toto statement: %w", err)
	}
	if err := known.Validate(); err != nil {
		return fmt.Errorf("not an in-toto statement: %w", err)
	}
	return nil
}

// unseal holds a signed line against its own statement and takes the body out.
// Nothing here needs a key: a line that contradicts its statement is broken
// whoever signed it.
func unseal(e *Entry) error {
	var envelope dsse.Envelope
	if err := json.Unmarshal(e.Envelope, &envelope); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(envelope.Payload)
	if err != nil || envelope.PayloadType != payloadType || len(envelope.Signatures) != 1 {
		return errors.New("its envelope is not one that the ledger writes")
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(envelope.Signatures[0].Sig); err != nil {
		return errors.New("its signature is not in the form the ledger writes")
	}
	if again, err := json.Marshal(envelope); err != nil || string(again) != string(e.Envelope) {
		return errors.New("its envelope is not in the form the ledger writes")
	}
	if err := validate(payload); err != nil {
		return err
	}
	var said statement
	if err := json.Unmarshal(payload, &said); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	p := said.Predicate
	if said.PredicateType != PredicateType || p.ID != e.ID || !p.Time.Equal(e.Time) || p.Kind != e.Kind || p.Prev != e.Prev {
		return fmt.Errorf("says other things than its signed statement (entry %d, %s, %s)", p.ID, p.Kind, p.Time.Format(time.RFC3339))
	}
	e.Body = p.Body
	return nil
}

// Signed says that the entry carries a signature; whether it holds is for
// CheckSignature.
func (e *Entry) Signed() bool { return len(e.Envelope) > 0 }

// CheckSignature asks whether the key's owner signed this entry.
func (e *Entry) CheckSignature(key *Public) error {
	if !e.Signed() {
		return fmt.Errorf("%w: entry %d is unsigned: it was written in the first format", ErrSignature, e.ID)
	}
	var envelope dsse.Envelope
	if err := json.Unmarshal(e.Envelope, &envelope); err != nil {
		return fmt.Errorf("%w: entry %d: %v", ErrSignature, e.ID, err)
	}
	verifier, err := dsse.NewEnvelopeVerifier(key)
	if err != nil {
		return err
	}
	if _, err := verifier.Verify(context.Background(), &envelope); err != nil {
		return fmt.Errorf("%w: entry %d was not signed by the key %.16s...: %v", ErrSignature, e.ID, key.id, err)
	}
	return nil
}
