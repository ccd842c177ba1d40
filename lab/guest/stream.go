package guest

import (
	"context"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// What an unread stream keeps at most, whichever is reached first.
const (
	streamItemsMax = 65536
	streamBytesMax = 16 << 20
)

// Stream is a queue of messages from a guest. When it is full the oldest is
// dropped and counted: the guest is never held up by a slow reader.
type Stream struct {
	client *Client // nil for the replies of one request

	mutex  sync.Mutex
	queue  []Message
	bytes  int // payloads in queue
	lost   uint64
	err    error
	signal chan struct{} // holds one token while the queue may have items
}

func newStream() *Stream { return &Stream{signal: make(chan struct{}, 1)} }

// Stream subscribes to everything the guest says from now on that answers no
// request: records, programs, events, log lines, the report.
func (c *Client) Stream() *Stream {
	s := newStream()
	s.client = c
	c.state.Lock()
	defer c.state.Unlock()
	if c.err != nil {
		s.err = c.err
		return s
	}
	c.streams[s] = struct{}{}
	return s
}

// Close ends the subscription; Next returns what is queued, then ErrClosed.
func (s *Stream) Close() {
	if s.client != nil {
		s.client.state.Lock()
		delete(s.client.streams, s)
		s.client.state.Unlock()
	}
	s.close(ErrClosed)
}

// Lost counts messages dropped because nobody read.
func (s *Stream) Lost() uint64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.lost
}

func (s *Stream) push(m Message) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err != nil {
		return
	}
	for len(s.queue) == streamItemsMax || len(s.queue) > 0 && s.bytes+len(m.Payload) > streamBytesMax {
		s.pop()
		s.lost++
	}
	s.queue = append(s.queue, m)
	s.bytes += len(m.Payload)
	s.wake()
}

func (s *Stream) pop() Message {
	m := s.queue[0]
	s.queue[0] = Message{} // lets go of the payload before the array is
	s.queue = s.queue[1:]
	s.bytes -= len(m.Payload)
	return m
}

func (s *Stream) close(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake()
}

func (s *Stream) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// Next returns the next message, waiting for it. After the channel has closed
// it returns what is left and then the reason. One goroutine may call it.
func (s *Stream) Next(ctx context.Context) (Message, error) {
	for {
		s.mutex.Lock()
		if len(s.queue) > 0 {
			m := s.pop()
			s.mutex.Unlock()
			return m, nil
		}
		err := s.err
		s.mutex.Unlock()
		if err != nil {
			return Message{}, err
		}
		select {
		case <-s.signal:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Records reads the records of a MessageRecord; a damaged tail is dropped.
func Records(m Message) []abi.Record {
	var records []abi.Record
	for rest := m.Payload; m.Kind == abi.MessageRecord && len(rest) >= recordBytes; rest = rest[recordBytes:] {
		var record abi.Record
		if record.Get(rest) != abi.OK {
			break
		}
		records = append(records, record)
	}
	return records
}

// Events reads the packet events of a MessageEvents.
func Events(m Message) []abi.NetRXEvent {
	var events []abi.NetRXEvent
	for rest := m.Payload; m.Kind == abi.MessageEvents && len(rest) >= eventBytes; rest = rest[eventBytes:] {
		var event abi.NetRXEvent
		if event.Get(rest) != abi.OK {
			break
		}
		events = append(events, event)
	}
	return events
}

// Program is a candidate that the kernel made, as assembly text.
type Program struct {
	Digest abi.Digest
	Text   string
}

// ReadProgram reads a MessageProgram.
func ReadProgram(m Message) (Program, bool) {
	var p Program
	if m.Kind != abi.MessageProgram || len(m.Payload) < len(p.Digest) {
		return Program{}, false
	}
	copy(p.Digest[:], m.Payload)
	p.Text = string(m.Payload[len(p.Digest):])
	return p, true
}

// ReadReport reads a MessageReport.
func ReadReport(m Message) (abi.Report, bool) {
	var r abi.Report
	if m.Kind != abi.MessageReport || r.Get(m.Payload) != abi.OK {
		return abi.Report{}, false
	}
	return r, true
}

const (
	recordBytes = abi.RecordBytes
	eventBytes  = abi.NetRXEventBytes
)
