package qemu

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// consoleKept is how much of what a guest printed stays in memory; the log file
// has all of it.
const consoleKept = 256 << 10

// watcherGrace is how long one write to an attached terminal may take.
const watcherGrace = 200 * time.Millisecond

// console reads a guest's serial port for as long as it is open, keeps the
// latest bytes and passes them on to whoever attached.
type console struct {
	port io.ReadWriter

	mutex    sync.Mutex
	kept     []byte
	watchers map[net.Conn]struct{}
	done     chan struct{}
}

func newConsole(port io.ReadWriter) *console {
	c := &console{port: port, watchers: map[net.Conn]struct{}{}, done: make(chan struct{})}
	go c.read()
	return c
}

func (c *console) read() {
	defer close(c.done)
	buffer := make([]byte, 16<<10)
	for {
		n, err := c.port.Read(buffer)
		c.add(buffer[:n])
		if err != nil {
			return
		}
	}
}

func (c *console) add(text []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.kept = append(c.kept, text...)
	if len(c.kept) > 2*consoleKept {
		c.kept = append([]byte(nil), c.kept[len(c.kept)-consoleKept:]...)
	}
	for watcher := range c.watchers {
		watcher.SetWriteDeadline(time.Now().Add(watcherGrace)) // a stopped terminal must not stop the guest
		if _, err := watcher.Write(text); err != nil {
			delete(c.watchers, watcher)
			watcher.Close()
		}
	}
}

// text is the latest consoleKept bytes.
func (c *console) text() []byte {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	kept := c.kept
	if len(kept) > consoleKept {
		kept = kept[len(kept)-consoleKept:]
	}
	return bytes.Clone(kept)
}

// panicLines begin the lines by which a dying kernel is recognised: ours, and
// Linux after the time stamp.
var panicLines = [][]byte{[]byte("panic: "), []byte("Kernel panic - not syncing")}

// panicked returns the line by which the guest said that it panics.
func (c *console) panicked() (string, bool) {
	for _, line := range bytes.Split(c.text(), []byte("\n")) {
		text := bytes.TrimRight(line, "\r")
		if bytes.HasPrefix(text, panicLines[0]) || bytes.Contains(text, panicLines[1]) {
			return string(text), true
		}
	}
	return "", false
}

// attach serves one watcher: first what is kept, then what comes. What the
// watcher writes goes to the guest's serial input.
func (c *console) attach(conn net.Conn) {
	c.mutex.Lock()
	_, err := conn.Write(c.kept)
	if err == nil {
		c.watchers[conn] = struct{}{}
	}
	c.mutex.Unlock()
	if err != nil {
		conn.Close()
		return
	}
	io.Copy(c.port, conn) // ends when the watcher leaves or the guest does
	c.mutex.Lock()
	delete(c.watchers, conn)
	c.mutex.Unlock()
	conn.Close()
}
