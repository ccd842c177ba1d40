// The digest: computed over the flat image, written into it and into the ELF file.

package image

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// digestSymbol names the 32 bytes that hold the digest (core/symbols).
const digestSymbol = "kernel_digest"

// Digest is SHA-256 of a flat image with its own digest bytes taken as zero;
// at is their place, found in the ELF file the image was made from.
func Digest(flat []byte, at int) ([32]byte, error) {
	if at < 0 || at+32 > len(flat) {
		return [32]byte{}, fmt.Errorf("digest at byte %d of an image of %d", at, len(flat))
	}
	copied := bytes.Clone(flat)
	clear(copied[at : at+32])
	return sha256.Sum256(copied), nil
}

// Seal writes the digest into both files, and as hexadecimal beside them.
func Seal(elfPath, imagePath, digestPath string) ([32]byte, error) {
	inELF, inImage, err := digestPlaces(elfPath)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%s: %w", elfPath, err)
	}
	flat, err := os.ReadFile(imagePath)
	if err != nil {
		return [32]byte{}, err
	}
	digest, err := Digest(flat, int(inImage))
	if err != nil {
		return [32]byte{}, err
	}
	for _, target := range []struct {
		path string
		at   uint64
	}{{elfPath, inELF}, {imagePath, inImage}} {
		if err := writeAt(target.path, digest[:], int64(target.at)); err != nil {
			return [32]byte{}, err
		}
	}
	return digest, os.WriteFile(digestPath, []byte(hex.EncodeToString(digest[:])+"\n"), 0o644)
}

// digestPlaces finds the digest as an offset into the ELF file and into the
// flat image, whose first byte is the lowest loaded address.
func digestPlaces(path string) (inELF, inImage uint64, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		return 0, 0, err
	}
	lowest := ^uint64(0)
	for _, section := range file.Sections {
		if section.Flags&elf.SHF_ALLOC != 0 && section.Type == elf.SHT_PROGBITS && section.Size > 0 {
			lowest = min(lowest, section.Addr)
		}
	}
	for _, s := range symbols {
		if s.Name != digestSymbol || int(s.Section) >= len(file.Sections) {
			continue
		}
		section := file.Sections[s.Section]
		if section.Type != elf.SHT_PROGBITS {
			return 0, 0, errors.New(digestSymbol + " lies in a section without bytes")
		}
		return section.Offset + s.Value - section.Addr, s.Value - lowest, nil
	}
	return 0, 0, errors.New("no symbol " + digestSymbol)
}

func writeAt(path string, data []byte, at int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, at)
	return errors.Join(err, file.Close())
}
