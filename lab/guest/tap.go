package guest

import (
	"context"
	"io"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Tap lends the channel to a second client, such as `lab trace` of a fleet that
// another process holds: it hears the Hello again, then everything the guest
// says that answers no request of ours, and its requests go to the guest under
// its own sequence numbers, which start at a random place. Tap returns when
// either side is gone.
func (c *Client) Tap(ctx context.Context, other io.ReadWriteCloser) error {
	hello, err := c.Hello(ctx)
	if err != nil {
		other.Close()
		return err
	}
	stream := c.Stream()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		c.forward(other)
	}()
	defer stream.Close()
	defer other.Close()
	defer cancel()
	payload := make([]byte, abi.HelloBytes)
	hello.Put(payload)
	m := Message{Kind: abi.MessageHello, Payload: payload}
	frame := make([]byte, abi.FrameHeaderBytes+abi.FramePayloadMax)
	for {
		n := abi.PutFrame(frame, m.Kind, m.Sequence, m.Payload)
		if _, err := other.Write(frame[:n]); err != nil {
			return err
		}
		if m, err = stream.Next(ctx); err != nil {
			return err
		}
	}
}

// forward sends whole good frames from the other client to the guest, so that
// a client that breaks off in mid-frame harms nobody else.
func (c *Client) forward(other io.Reader) {
	buffer := make([]byte, 0, readBytes)
	for {
		n, err := other.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		at := 0
		for at < len(buffer) {
			header, payload, consumed, code := abi.ParseFrame(buffer[at:])
			if code == abi.ErrTruncated && consumed == 0 {
				break
			}
			if code == abi.OK && c.Send(header.Type, header.Sequence, payload) != nil {
				return
			}
			at += consumed
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], buffer[at:])]
		if err != nil {
			return
		}
	}
}
