package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

// monitor is a QMP connection through go-qemu, kept within what that library
// does well. Of its failures two are avoided by relay.go, and here:
//
//   - once Events was called, Run blocks for ever unless the channel is read,
//     so a goroutine reads it from the first moment to the last;
//   - Run and Connect have no time-out: a call that does not return in time
//     closes the connection, which ends it, and the monitor is unusable then.
type monitor struct {
	socket *qmp.SocketMonitor
	relay  *relay

	mutex  sync.Mutex
	events []qmp.Event // the latest eventsKept
	gone   error
}

const eventsKept = 32

// dialMonitor connects to a socket on which QEMU listens; QEMU's side may come
// later, because the socket was made before QEMU was.
func dialMonitor(ctx context.Context, path, relayPath string, limit time.Duration) (*monitor, error) {
	relay, err := newRelay(path, relayPath, limit)
	if err != nil {
		return nil, fmt.Errorf("QMP: %w", err)
	}
	socket, err := qmp.NewSocketMonitor("unix", relayPath, limit)
	if err != nil {
		relay.close()
		return nil, fmt.Errorf("QMP: %w", err)
	}
	m := &monitor{socket: socket, relay: relay}
	var events <-chan qmp.Event
	err = m.within(ctx, limit, func() (err error) {
		if err = socket.Connect(); err == nil {
			events, err = socket.Events(context.Background()) // before the first event can pass the relay
		}
		return err
	})
	if err != nil {
		m.close()
		return nil, fmt.Errorf("QMP greeting: %w", err)
	}
	go m.drain(events)
	return m, nil
}

func (m *monitor) drain(events <-chan qmp.Event) {
	for event := range events {
		m.mutex.Lock()
		m.events = append(m.events, event)
		if len(m.events) > eventsKept {
			m.events = m.events[1:]
		}
		m.mutex.Unlock()
	}
}

// version of the running QEMU.
func (m *monitor) version() string { return m.socket.Version.String() }

// saw says whether an event of that name is among the latest.
func (m *monitor) saw(name string) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, event := range m.events {
		if event.Event == name {
			return true
		}
	}
	return false
}

// within runs one blocking call of go-qemu with a limit.
func (m *monitor) within(ctx context.Context, limit time.Duration, call func() error) error {
	m.mutex.Lock()
	gone := m.gone
	m.mutex.Unlock()
	if gone != nil {
		return gone
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		err := call()
		m.relay.next()
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		m.close()
		return fmt.Errorf("no answer within %v: %w", limit, ctx.Err())
	}
}

// run executes a command whose reply is known to be small.
func (m *monitor) run(ctx context.Context, limit time.Duration, name string, arguments any) (json.RawMessage, error) {
	command, err := json.Marshal(qmp.Command{Execute: name, Args: arguments})
	if err != nil {
		return nil, err
	}
	var reply struct {
		Return json.RawMessage `json:"return"`
	}
	err = m.within(ctx, limit, func() error {
		raw, err := m.socket.Run(command)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &reply)
	})
	if err != nil {
		return nil, fmt.Errorf("QMP %s: %w", name, err)
	}
	return reply.Return, nil
}

// human runs one command of the human monitor. "info registers -a" prints about
// 3 KiB a CPU: 8 CPUs stay far under the library's limit.
func (m *monitor) human(ctx context.Context, limit time.Duration, line string) (string, error) {
	raw, err := m.run(ctx, limit, "human-monitor-command", map[string]string{"command-line": line})
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("QMP human-monitor-command: %w", err)
	}
	return text, nil
}

// close ends the connection and every call that waits on it. Disconnect waits
// for the library's reader, which the relay's end lets go.
func (m *monitor) close() {
	m.mutex.Lock()
	already := m.gone != nil
	m.gone = errors.New("QMP: closed")
	m.mutex.Unlock()
	if !already {
		m.relay.close()
		go m.socket.Disconnect()
	}
}
