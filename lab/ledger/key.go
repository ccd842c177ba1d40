// The key that signs: ed25519, made at first use, readable by its owner only,
// with its public half beside it for others to check by.

package ledger

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS #8
	publicBlock  = "PUBLIC KEY"  // PKIX
	keyBytesMax  = 16 << 10
)

// Public checks signatures; it is a dsse.Verifier.
type Public struct {
	key ed25519.PublicKey
	id  string
}

// Key signs as well; it is a dsse.Signer.
type Key struct {
	Public
	private ed25519.PrivateKey
}

// KeyPath is where the key of a ledger lies unless another is named.
func KeyPath(ledger string) string { return filepath.Join(filepath.Dir(ledger), "lab.key") }

// PublicPath is where the public half of a key file is exported.
func PublicPath(key string) string { return key + ".pub" }

func newPublic(key ed25519.PublicKey) Public {
	sum := sha256.Sum256(key)
	return Public{key: key, id: hex.EncodeToString(sum[:])}
}

// KeyID is the SHA-256 of the raw public key.
func (p *Public) KeyID() (string, error) { return p.id, nil }

// Public returns the key itself.
func (p *Public) Public() crypto.PublicKey { return p.key }

// Verify checks one signature.
func (p *Public) Verify(_ context.Context, data, signature []byte) error {
	if !ed25519.Verify(p.key, data, signature) {
		return ErrSignature
	}
	return nil
}

// Sign signs.
func (k *Key) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.private, data), nil
}

// OpenKey reads the private key of a file, or makes one when there is none.
// Two labs that start at once end with the same key.
func OpenKey(path string) (*Key, error) {
	key, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	if _, err := os.Stat(PublicPath(path)); errors.Is(err, os.ErrNotExist) {
		if err := exportPublic(PublicPath(path), key.key); err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
	}
	return key, nil
}

func makeKey(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return publish(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: encoded}))
}

func exportPublic(path string, key ed25519.PublicKey) error {
	encoded, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	return publish(path, 0o644, pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: encoded}))
}

// publish puts a whole file at path unless there is one: a link either gives
// the name to complete content or fails.
func publish(path string, mode os.FileMode, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600 from the start
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func readKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o): chmod 600 it, or move it away and a new one is made", path, info.Mode().Perm())
	}
	block, err := readBlock(path)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, want an ed25519 private key", path, parsed)
	}
	return &Key{Public: newPublic(private.Public().(ed25519.PublicKey)), private: private}, nil
}

// OpenPublic reads a public key; a file with a private key serves as well.
func OpenPublic(path string) (*Public, error) {
	block, err := readBlock(path)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	if block.Type == privateBlock {
		key, err := readKey(path)
		if err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
		return &key.Public, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key: %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("public key: %s holds a %T, want an ed25519 public key", path, parsed)
	}
	public := newPublic(key)
	return &public, nil
}

func readBlock(path string) (*pem.Block, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > keyBytesMax {
		return nil, fmt.Errorf("%s is no key file (%d bytes)", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no key file: want PEM", path)
	}
	return block, nil
}
