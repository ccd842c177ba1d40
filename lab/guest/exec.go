package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// ExecRequest is the JSON payload of MessageExec.
type ExecRequest struct {
	Path        string   `json:"path"` // in the guest
	Arguments   []string `json:"arguments"`
	Environment []string `json:"environment,omitempty"`
	Directory   string   `json:"directory,omitempty"`
}

// PutFile writes a file into the guest, chunk by chunk; parents are made.
func (c *Client) PutFile(ctx context.Context, path string, mode uint32, content io.Reader) error {
	room := abi.FramePayloadMax - abi.FileChunkBytes - len(path)
	if room <= 0 || path == "" {
		return fmt.Errorf("guest path of %d bytes", len(path))
	}
	payload := make([]byte, abi.FramePayloadMax)
	start := abi.FileChunkBytes + len(path)
	copy(payload[abi.FileChunkBytes:], path)
	for offset, last := uint64(0), false; !last; {
		n, err := io.ReadFull(content, payload[start:])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			last = true
			if n == 0 && offset > 0 {
				return nil
			}
		case err != nil:
			return fmt.Errorf("reading for %s: %w", path, err)
		}
		chunk := abi.FileChunk{Offset: offset, Mode: mode, PathBytes: uint32(len(path))}
		chunk.Put(payload)
		if _, err := c.Call(ctx, abi.MessagePutFile, abi.MessagePong, payload[:start+n]); err != nil {
			return fmt.Errorf("putting %s at byte %d: %w", path, offset, err)
		}
		offset += uint64(n)
	}
	return nil
}

// stdinChunkBytes keeps input frames small: interactive input comes in lines.
const stdinChunkBytes = 16 << 10

// Exec runs a program in the guest with its output streamed, and returns how it
// ended. A nil stdin is an empty one. When ctx ends, the call returns and the
// program is left to the guest's fate.
func (c *Client) Exec(ctx context.Context, request ExecRequest, stdin io.Reader, stdout, stderr io.Writer) (abi.ExitReply, error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return abi.ExitReply{}, err
	}
	sequence, replies, err := c.begin()
	if err != nil {
		return abi.ExitReply{}, err
	}
	defer c.end(sequence)
	if err := c.Send(abi.MessageExec, sequence, payload); err != nil {
		return abi.ExitReply{}, err
	}
	// The copier may block in Read of a terminal for ever; it then dies with
	// the process, and can no longer write once the call has ended.
	over := make(chan struct{})
	defer close(over)
	go c.copyStdin(sequence, stdin, over)
	for {
		m, err := replies.Next(ctx)
		if err != nil {
			return abi.ExitReply{}, err
		}
		switch m.Kind {
		case abi.MessageStdout:
			_, err = stdout.Write(m.Payload)
		case abi.MessageStderr:
			_, err = stderr.Write(m.Payload)
		case abi.MessageExit:
			var exit abi.ExitReply
			if code := exit.Get(m.Payload); code != abi.OK {
				return abi.ExitReply{}, fmt.Errorf("exit reply: %v", code)
			}
			return exit, nil
		default:
			err = refusal(abi.MessageExec, m)
		}
		if err != nil {
			return abi.ExitReply{}, err
		}
	}
}

func (c *Client) copyStdin(sequence uint32, stdin io.Reader, over <-chan struct{}) {
	buffer := make([]byte, stdinChunkBytes)
	for stdin != nil {
		n, err := stdin.Read(buffer)
		select {
		case <-over:
			return
		default:
		}
		if n > 0 && c.Send(abi.MessageStdin, sequence, buffer[:n]) != nil {
			return
		}
		if err != nil {
			break
		}
	}
	_ = c.Send(abi.MessageStdin, sequence, nil) // a closed channel already ended the call
}
