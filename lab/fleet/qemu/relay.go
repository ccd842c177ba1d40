package qemu

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// relay stands between QEMU's monitor and go-qemu, which dials an address and
// nothing else, and hands it one line at a time:
//
//   - the library reads the next line into the buffer that its reply still lies
//     in (a data race, seen by the race detector); so nothing follows a reply
//     until the caller is done with it;
//   - a reply over 64 KiB would break it for good; such a one becomes an error.
type relay struct {
	qemu, library net.Conn
	done          chan struct{} // one token: the caller has read the reply
	closing       sync.Once
	closed        chan struct{}
}

// replyBytesMax is bufio.MaxScanTokenSize, which go-qemu cannot exceed.
const replyBytesMax = 64 << 10

// newRelay connects to QEMU and returns once the library can dial at.
func newRelay(qemuPath, at string, limit time.Duration) (*relay, error) {
	listener, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("unix", qemuPath, limit)
	if err != nil {
		listener.Close()
		return nil, err
	}
	r := &relay{qemu: conn, done: make(chan struct{}, 1), closed: make(chan struct{})}
	go func() {
		library, err := listener.Accept()
		listener.Close()
		if err != nil {
			r.close()
			return
		}
		r.library = library
		go func() {
			io.Copy(conn, library) // requests are small and few
			r.close()
		}()
		r.serve(library)
		library.Close()
		r.close()
	}()
	return r, nil
}

// next lets the line after a reply pass. Called once per finished call.
func (r *relay) next() {
	select {
	case r.done <- struct{}{}:
	default:
	}
}

func (r *relay) close() {
	r.closing.Do(func() {
		close(r.closed)
		r.qemu.Close()
	})
}

// serve copies lines from QEMU until it is gone. The greeting comes first and
// is answered by a request; all that is no event after it is a reply.
func (r *relay) serve(library io.Writer) {
	lines := bufio.NewReaderSize(r.qemu, replyBytesMax)
	filler := bufferFiller
	for greeting := true; ; greeting = false {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, errLongLine) {
			return
		}
		var kind struct {
			Event string `json:"event"`
		}
		isEvent := err == nil && json.Unmarshal(line, &kind) == nil && kind.Event != ""
		if err != nil {
			line = fmt.Appendf(nil, `{"error":{"class":"GenericError","desc":"%v"}}`+"\n", err)
		}
		if _, err := library.Write(line); err != nil {
			return
		}
		if greeting || isEvent {
			continue
		}
		select {
		case <-r.done:
		case <-r.closed:
			return
		}
		if _, err := library.Write(filler); err != nil {
			return
		}
		filler = blankLine
	}
}

// Blank lines, which the library skips. The race detector orders what is read
// from a socket only after the read: without a line between, it would take the
// next reply for a write to the one before. The first line makes the library's
// buffer so large that a blank line never lands on the reply it follows, as
// long as that fills less than half of it.
var (
	bufferFiller = append(bytes.Repeat([]byte(" "), replyBytesMax-16), '\n')
	blankLine    = []byte("\n")
)

var errLongLine = errors.New("the reply exceeds 64 KiB and was dropped")

// readLine returns a line with its end, or errLongLine after skipping one that
// does not fit the reader's buffer.
func readLine(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = lines.ReadSlice('\n')
	}
	if err == nil {
		err = errLongLine
	}
	return nil, err
}
