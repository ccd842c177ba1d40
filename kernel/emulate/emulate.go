// Package emulate runs compiled programs on the host: it writes one static
// ELF file with a batch of codes and their inputs in it, runs it under
// qemu-aarch64 (Debian: qemu-user) and reads back what each call left behind.
// There is no loader and no tool chain: the file is the whole process, and its
// few instructions of its own (run.go) call one program after the other.
package emulate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Emulator is the program that runs A64 code on the host.
const Emulator = "qemu-aarch64"

// ErrMissing says that the emulator is not installed.
var ErrMissing = errors.New("qemu-aarch64 is not installed (Debian package qemu-user)")

// Call is one run of one code. First and Second arrive in x0 and x1 as the
// addresses of copies, Third in x2, as a number.
type Call struct {
	Code   int // index into Batch.Codes
	First  []byte
	Second []byte
	Third  uint64
	// For programs outside any hook: x1 is the length Third, and not an
	// address; x0 is 0 where there is no memory.
	SecondIsLength, NoFirst bool
}

// Answer is what a call left behind.
type Answer struct {
	Result  uint64 // x0
	First   []byte // the copies, as they were after the call
	Second  []byte
	Spoiled uint64 // bits that changed in x18, x19 to x29 or sp; 0 = none
	Strayed bool   // bytes around the copies changed
}

// Batch is what one process runs.
type Batch struct {
	Codes [][]byte
	Calls []Call
}

// Available says whether batches can be run here.
func Available() bool {
	_, err := exec.LookPath(Emulator)
	return err == nil
}

// Run runs the batch. A code that faults or does not end ends the process, and
// no answer of the batch is known then: ErrDied says so; halve and try again.
func Run(ctx context.Context, batch *Batch) ([]Answer, error) {
	path, err := exec.LookPath(Emulator)
	if err != nil {
		return nil, ErrMissing
	}
	image, layout := build(batch)
	folder, err := os.MkdirTemp("", "emulate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "batch")
	if err := os.WriteFile(file, image, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var out, complaint bytes.Buffer
	command := exec.CommandContext(ctx, path, file)
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil || out.Len() != layout.dataBytes {
		return nil, &ErrDied{Why: fmt.Sprintf("%v, %d of %d bytes of answers %s", err, out.Len(), layout.dataBytes, complaint.Bytes())}
	}
	return layout.answers(batch, out.Bytes()), nil
}

// ErrDied is the end of a process before its last call.
type ErrDied struct{ Why string }

func (e *ErrDied) Error() string { return "compiled code ended the process: " + e.Why }

// The process: text with runner and codes, then data with the table of calls
// and the copies. Each copy has guardBytes of a pattern on either side.
const (
	textAddress = 0x10000000
	dataAddress = 0x40000000
	entryBytes  = 48
	guardBytes  = 32
	guardByte   = 0xa5
)

type layout struct {
	dataBytes     int
	first, second []int // offsets of the copies in the data
}

// build writes the file.
func build(batch *Batch) ([]byte, *layout) {
	text := make([]byte, 4*len(runner))
	for i, word := range runner {
		binary.LittleEndian.PutUint32(text[4*i:], word)
	}
	places := make([]uint64, len(batch.Codes))
	for i, code := range batch.Codes {
		places[i] = textAddress + textOffset + uint64(len(text))
		text = append(text, code...)
	}
	l := &layout{}
	data := make([]byte, (len(batch.Calls)+1)*entryBytes) // the last entry, without code, ends the table
	copyIn := func(of []byte) int {
		data = append(data, bytes.Repeat([]byte{guardByte}, guardBytes+(-len(data)&15))...)
		at := len(data)
		data = append(data, of...)
		data = append(data, bytes.Repeat([]byte{guardByte}, guardBytes)...)
		return at
	}
	for i, call := range batch.Calls {
		l.first, l.second = append(l.first, copyIn(call.First)), append(l.second, copyIn(call.Second))
		entry := data[i*entryBytes:]
		binary.LittleEndian.PutUint64(entry, places[call.Code])
		binary.LittleEndian.PutUint64(entry[8:], dataAddress+uint64(l.first[i]))
		binary.LittleEndian.PutUint64(entry[16:], dataAddress+uint64(l.second[i]))
		binary.LittleEndian.PutUint64(entry[24:], call.Third)
		if call.SecondIsLength {
			binary.LittleEndian.PutUint64(entry[16:], call.Third)
		}
		if call.NoFirst {
			binary.LittleEndian.PutUint64(entry[8:], 0)
		}
	}
	l.dataBytes = len(data)
	binary.LittleEndian.PutUint64(data[len(batch.Calls)*entryBytes+8:], uint64(len(data)))
	return file(text, data), l
}

// answers reads what the process wrote: its whole data.
func (l *layout) answers(batch *Batch, data []byte) []Answer {
	answers := make([]Answer, len(batch.Calls))
	for i, call := range batch.Calls {
		entry := data[i*entryBytes:]
		a := &answers[i]
		a.Result = binary.LittleEndian.Uint64(entry[32:])
		a.Spoiled = binary.LittleEndian.Uint64(entry[40:])
		a.First = data[l.first[i] : l.first[i]+len(call.First)]
		a.Second = data[l.second[i] : l.second[i]+len(call.Second)]
		for _, at := range [...]int{l.first[i] - guardBytes, l.first[i] + len(call.First), l.second[i] - guardBytes, l.second[i] + len(call.Second)} {
			for _, b := range data[at : at+guardBytes] {
				a.Strayed = a.Strayed || b != guardByte
			}
		}
	}
	return answers
}

// textOffset is where the text begins in the file and, so that addresses and
// offsets agree by page, behind its address.
const textOffset = 4096

// file writes an ELF executable of two segments (System V ABI, chapter 4 and 5).
func file(text, data []byte) []byte {
	dataOffset := (textOffset + len(text) + 4095) &^ 4095
	out := make([]byte, dataOffset, dataOffset+len(data))
	copy(out, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(out[16:], 2)   // ET_EXEC
	le.PutUint16(out[18:], 183) // EM_AARCH64
	le.PutUint32(out[20:], 1)
	le.PutUint64(out[24:], textAddress+textOffset) // entry
	le.PutUint64(out[32:], 64)                     // program headers
	le.PutUint16(out[52:], 64)
	le.PutUint16(out[54:], 56)
	le.PutUint16(out[56:], 2)
	segment := func(at int, flags uint32, offset, address, length uint64) {
		header := out[at:]
		le.PutUint32(header, 1) // PT_LOAD
		le.PutUint32(header[4:], flags)
		le.PutUint64(header[8:], offset)
		le.PutUint64(header[16:], address)
		le.PutUint64(header[24:], address)
		le.PutUint64(header[32:], length)
		le.PutUint64(header[40:], length)
		le.PutUint64(header[48:], 4096)
	}
	segment(64, 5, textOffset, textAddress+textOffset, uint64(len(text)))
	segment(120, 6, uint64(dataOffset), dataAddress, uint64(len(data)))
	copy(out[textOffset:], text)
	return append(out, data...)
}
