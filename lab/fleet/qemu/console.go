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
	partial  []byte // of the line that is being printed
	watchers map[net.Conn]struct{}
	done     chan struct{}

	panicLine string // the first line of a panic
	panicTime time.Time
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
	c.look(text)
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

// lineMax bounds a line that has not ended yet.
const lineMax = 4 << 10

// look watches for a panic, line by line as they end; the mutex is held.
func (c *console) look(text []byte) {
	if c.panicLine != "" {
		return
	}
	c.partial = append(c.partial, text...)
	for {
		line, rest, ended := bytes.Cut(c.partial, []byte("\n"))
		if !ended {
			break
		}
		c.partial = rest
		line = bytes.TrimRight(line, "\r")
		if bytes.HasPrefix(line, panicLines[0]) || bytes.Contains(line, panicLines[1]) {
			c.panicLine, c.panicTime = string(line), time.Now()
			return
		}
	}
	c.partial = bytes.Clone(c.partial[max(0, len(c.partial)-lineMax):])
}

// panicked returns the line by which the guest said that it panics, and when.
func (c *console) panicked() (line string, at time.Time, ok bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.panicLine, c.panicTime, c.panicLine != ""
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
