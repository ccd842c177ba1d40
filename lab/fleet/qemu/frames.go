package qemu

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Live Ethernet frames go to and from a guest over a socket pair, each after
// its length in four bytes, big-endian: what QEMU's `-netdev socket,fd=` speaks.

const (
	// frameBytesMax is QEMU's own bound of one frame (NET_BUFSIZE): a longer
	// length makes it drop the connection.
	frameBytesMax = 4096 + 65536

	// framesKept wait for a reader; then the newest is dropped, as a network
	// card does: who does not read must not stop the guest.
	framesKept = 4096
)

// wire is the lab's end of a guest's network.
type wire struct {
	file    *os.File
	receive chan []byte

	mutex sync.Mutex // one frame at a time
	out   []byte
}

func newWire(file *os.File) *wire {
	w := &wire{file: file, receive: make(chan []byte, framesKept)}
	go w.read()
	return w
}

// read ends, and closes the channel, when the guest has ended.
func (w *wire) read() {
	defer close(w.receive)
	from := bufio.NewReaderSize(w.file, frameBytesMax)
	var length [4]byte
	for {
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return
		}
		bytes := binary.BigEndian.Uint32(length[:])
		if bytes > frameBytesMax {
			return // not this protocol: nothing behind it means anything
		}
		frame := make([]byte, bytes)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		select {
		case w.receive <- frame:
		default:
		}
	}
}

func (w *wire) send(frame []byte) error {
	if len(frame) == 0 || len(frame) > frameBytesMax {
		return fmt.Errorf("a frame of %d bytes: 1 to %d", len(frame), frameBytesMax)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.out = binary.BigEndian.AppendUint32(w.out[:0], uint32(len(frame)))
	w.out = append(w.out, frame...)
	_, err := w.file.Write(w.out)
	return err
}

// Frames implements fleet.Instance.
func (g *instance) Frames() (send func(frame []byte) error, receive <-chan []byte) {
	if g.wire == nil {
		closed := make(chan []byte)
		close(closed)
		return func([]byte) error { return errors.New("guest " + g.spec.Name + " was started without frames") }, closed
	}
	return g.wire.send, g.wire.receive
}

// linkLimit bounds the QMP call: it is answered at once.
const linkLimit = 5 * time.Second

// SetLink implements fleet.Instance.
func (g *instance) SetLink(ctx context.Context, up bool) error {
	qmp, err := g.monitor(ctx)
	if err != nil {
		return err
	}
	_, err = qmp.run(ctx, linkLimit, "set_link", map[string]any{"name": networkID, "up": up})
	return err
}
