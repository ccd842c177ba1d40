// Package guest speaks the control protocol of kernel/abi with a guest over any
// byte stream, and makes the jobs that measured guests are started with.
//
// Invariants: one goroutine reads, so replies and streams arrive in the
// guest's order; a stream that nobody reads fast enough loses its oldest items
// and counts them, and never blocks the guest; bytes that are no frame are
// skipped and counted, whoever sent them.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// Message is one frame as received; Payload is its own copy.
type Message struct {
	Kind     uint16
	Sequence uint32
	Payload  []byte
}

// RefusedError is the guest's MessageError: the request changed nothing.
type RefusedError struct {
	Request uint16
	Code    abi.Code
	Offset  uint32 // byte of the request's payload, or 0xffffffff
}

func (e *RefusedError) Error() string {
	place := ""
	if e.Offset != 0xffffffff {
		place = fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("guest refused request %d: %v%s", e.Request, e.Code, place)
}

// ErrClosed ends calls on a channel whose other side is gone.
var ErrClosed = errors.New("control channel closed")

// readBytes is one read of the channel: four whole frames.
const readBytes = 4 * (abi.FrameHeaderBytes + abi.FramePayloadMax)

// Client is one end of a control channel.
type Client struct {
	stream io.ReadWriter

	writing sync.Mutex // one frame at a time
	out     []byte

	state    sync.Mutex
	sequence uint32
	pending  map[uint32]*Stream // requests that wait, by sequence
	streams  map[*Stream]struct{}
	hello    abi.Hello
	greeted  bool
	err      error

	ready   chan struct{} // closed at the first Hello
	done    chan struct{} // closed when reading ends
	skipped atomic.Uint64
}

// NewClient starts to read the stream. When the stream is an io.Closer, Close
// closes it; otherwise reading ends with the stream.
func NewClient(stream io.ReadWriter) *Client {
	c := &Client{stream: stream, out: make([]byte, abi.FrameHeaderBytes+abi.FramePayloadMax),
		sequence: rand.Uint32(), // several clients may share a guest through its tap
		pending:  map[uint32]*Stream{}, streams: map[*Stream]struct{}{},
		ready: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c
}

// Close ends the channel and every call that waits on it.
func (c *Client) Close() error {
	var err error
	if closer, ok := c.stream.(io.Closer); ok {
		err = closer.Close()
	}
	c.finish(ErrClosed)
	return err
}

// Done is closed when nothing more will arrive.
func (c *Client) Done() <-chan struct{} { return c.done }

// SkippedBytes counts what was no part of a good frame.
func (c *Client) SkippedBytes() uint64 { return c.skipped.Load() }

// Hello waits for the guest to say that it is ready.
func (c *Client) Hello(ctx context.Context) (abi.Hello, error) {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return abi.Hello{}, ctx.Err()
	case <-c.done:
		select {
		case <-c.ready: // it came before the end
		default:
			return abi.Hello{}, c.reason()
		}
	}
	c.state.Lock()
	defer c.state.Unlock()
	return c.hello, nil
}

// Release is the name and version a guest gave itself.
func Release(h abi.Hello) string {
	for i, b := range h.Release {
		if b == 0 {
			return string(h.Release[:i])
		}
	}
	return string(h.Release[:])
}

func (c *Client) reason() error {
	c.state.Lock()
	defer c.state.Unlock()
	if c.err != nil {
		return c.err
	}
	return ErrClosed
}

func (c *Client) finish(err error) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	for stream := range c.streams {
		stream.close(err)
	}
	for _, stream := range c.pending {
		stream.close(err)
	}
	close(c.done)
}

// read is the only reader of the stream. Its buffer holds at most one
// incomplete frame between reads.
func (c *Client) read() {
	buffer := make([]byte, 0, readBytes)
	for {
		n, err := c.stream.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		buffer = c.parse(buffer)
		if err != nil {
			c.skipped.Add(uint64(len(buffer)))
			if errors.Is(err, io.EOF) {
				err = ErrClosed
			}
			c.finish(err)
			return
		}
	}
}

// parse dispatches the whole frames of buffer and returns the rest, moved to
// the front.
func (c *Client) parse(buffer []byte) []byte {
	at := 0
	for at < len(buffer) {
		header, payload, consumed, code := abi.ParseFrame(buffer[at:])
		if code == abi.ErrTruncated && consumed == 0 {
			break
		}
		if code == abi.OK {
			c.dispatch(Message{Kind: header.Type, Sequence: header.Sequence, Payload: append([]byte(nil), payload...)})
		} else {
			c.skipped.Add(uint64(consumed))
		}
		at += consumed
	}
	return buffer[:copy(buffer[:cap(buffer)], buffer[at:])]
}

func (c *Client) dispatch(m Message) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.err != nil {
		return
	}
	if m.Kind == abi.MessageHello && !c.greeted && c.hello.Get(m.Payload) == abi.OK {
		c.greeted = true
		close(c.ready)
	}
	if waiting, ok := c.pending[m.Sequence]; ok && isReply(m.Kind) {
		waiting.push(m)
		return
	}
	for stream := range c.streams {
		stream.push(m)
	}
}

// isReply separates what answers a request from what a guest says unasked:
// streams may repeat a sequence number by accident.
func isReply(kind uint16) bool {
	switch kind {
	case abi.MessagePong, abi.MessageError, abi.MessageStatsReply, abi.MessageInstallReply,
		abi.MessageStdout, abi.MessageStderr, abi.MessageExit:
		return true
	}
	return false
}

// Send writes one frame without waiting for an answer.
func (c *Client) Send(kind uint16, sequence uint32, payload []byte) error {
	if len(payload) > abi.FramePayloadMax {
		return fmt.Errorf("message %d: payload of %d bytes, at most %d", kind, len(payload), abi.FramePayloadMax)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	n := abi.PutFrame(c.out, kind, sequence, payload)
	if _, err := c.stream.Write(c.out[:n]); err != nil {
		return fmt.Errorf("control channel: %w", err)
	}
	return nil
}

// begin registers a request under a fresh sequence number. Zero stays free for
// what guests send unasked.
func (c *Client) begin() (uint32, *Stream, error) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.sequence++
	if c.sequence == 0 {
		c.sequence = 1
	}
	replies := newStream()
	c.pending[c.sequence] = replies
	return c.sequence, replies, nil
}

func (c *Client) end(sequence uint32) {
	c.state.Lock()
	delete(c.pending, sequence)
	c.state.Unlock()
}

// Call sends a request and waits for its first reply, which must be of the
// wanted kind.
func (c *Client) Call(ctx context.Context, kind, want uint16, payload []byte) ([]byte, error) {
	sequence, replies, err := c.begin()
	if err != nil {
		return nil, err
	}
	defer c.end(sequence)
	if err := c.Send(kind, sequence, payload); err != nil {
		return nil, err
	}
	reply, err := replies.Next(ctx)
	if err != nil {
		return nil, fmt.Errorf("request %d: %w", kind, err)
	}
	if err := refusal(kind, reply); err != nil {
		return nil, err
	}
	if reply.Kind != want {
		return nil, fmt.Errorf("request %d: reply of kind %d, wanted %d", kind, reply.Kind, want)
	}
	return reply.Payload, nil
}

// refusal turns a MessageError into a RefusedError.
func refusal(request uint16, reply Message) error {
	if reply.Kind != abi.MessageError {
		return nil
	}
	var refused abi.ErrorReply
	if code := refused.Get(reply.Payload); code != abi.OK {
		return fmt.Errorf("request %d: unreadable error reply: %v", request, code)
	}
	return &RefusedError{Request: request, Code: refused.Code, Offset: refused.Offset}
}
