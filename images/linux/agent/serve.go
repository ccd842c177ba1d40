//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// server is the live guest's side of the control channel.
type server struct {
	*sender
	running map[uint32]*process // by the sequence of their exec request
	ended   chan uint32         // sequences of processes that are done
	off     bool
}

// serve says Hello and answers requests until it is told to power off. Frames
// are handled in order by one goroutine; only the output of running programs
// comes from others.
func serve(port *os.File) error {
	s := &server{sender: &sender{port: port}, running: map[uint32]*process{}, ended: make(chan uint32, 16)}
	if err := sendHello(s.sender, makeHello(false)); err != nil {
		return err
	}
	chunks, failed := make(chan []byte), make(chan error, 1)
	go readPort(port, chunks, failed)
	var buffer []byte
	for !s.off {
		select {
		case chunk := <-chunks:
			buffer = s.frames(append(buffer, chunk...))
		case sequence := <-s.ended:
			delete(s.running, sequence)
		case err := <-failed:
			return err
		}
	}
	return nil
}

func readPort(port *os.File, chunks chan<- []byte, failed chan<- error) {
	for {
		chunk := make([]byte, 64<<10)
		n, err := port.Read(chunk)
		if n > 0 {
			chunks <- chunk[:n]
		}
		if err != nil || n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = errors.New("the host closed the control channel")
			}
			failed <- err
			return
		}
	}
}

// frames handles what is whole and returns the rest.
func (s *server) frames(buffer []byte) []byte {
	for len(buffer) > 0 && !s.off {
		header, payload, consumed, code := abi.ParseFrame(buffer)
		if code == abi.ErrTruncated && consumed == 0 {
			break
		}
		switch code {
		case abi.OK:
			s.handle(header, payload)
		case abi.ErrChecksum:
			s.refuse(header.Sequence, code, noOffset)
		}
		buffer = buffer[consumed:]
	}
	return append([]byte(nil), buffer...)
}

func (s *server) handle(header abi.FrameHeader, payload []byte) {
	switch header.Type {
	case abi.MessagePing:
		s.send(abi.MessagePong, header.Sequence, payload)
	case abi.MessageStats:
		s.stats(header.Sequence)
	case abi.MessagePutFile:
		if code, offset := putFile(payload); code != abi.OK {
			s.refuse(header.Sequence, code, offset)
			return
		}
		s.send(abi.MessagePong, header.Sequence, nil)
	case abi.MessageExec:
		s.exec(header.Sequence, payload)
	case abi.MessageStdin:
		if running, ok := s.running[header.Sequence]; ok {
			running.input(payload)
		}
	case abi.MessagePowerOff:
		s.send(abi.MessagePong, header.Sequence, nil)
		s.off = true
	default:
		s.refuse(header.Sequence, abi.ErrUnsupported, noOffset)
	}
}

func (s *server) stats(sequence uint32) {
	stats := abi.Stats{TimeNS: counterNS()}
	stats.IdleNS, _ = idleNS()
	payload := make([]byte, abi.StatsBytes)
	stats.Put(payload)
	s.send(abi.MessageStatsReply, sequence, payload)
}

// fileBytesMax bounds what one file may grow to: more than the guest's memory.
const fileBytesMax = 4 << 30

// putFile writes one chunk of a file. Chunk 0 replaces what was there.
func putFile(payload []byte) (abi.Code, uint32) {
	var chunk abi.FileChunk
	if code := chunk.Get(payload); code != abi.OK {
		return code, 0
	}
	rest := payload[abi.FileChunkBytes:]
	if chunk.PathBytes == 0 || uint64(chunk.PathBytes) > uint64(len(rest)) || chunk.PathBytes > unix.PathMax {
		return abi.ErrBadLength, 12
	}
	path, data := string(rest[:chunk.PathBytes]), rest[chunk.PathBytes:]
	if !filepath.IsAbs(path) || chunk.Offset > fileBytesMax {
		return abi.ErrBadValue, abi.FileChunkBytes
	}
	flags := os.O_WRONLY | os.O_CREATE
	if chunk.Offset == 0 {
		flags |= os.O_TRUNC
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return abi.ErrBadValue, abi.FileChunkBytes
		}
	}
	file, err := os.OpenFile(path, flags, os.FileMode(chunk.Mode&0o777))
	if err != nil {
		return abi.ErrBadValue, abi.FileChunkBytes
	}
	_, err = file.WriteAt(data, int64(chunk.Offset))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return abi.ErrNoSpace, noOffset
	}
	return abi.OK, 0
}
