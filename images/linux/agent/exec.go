//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// process is a running program. Its input is queued, so that a program that
// does not read never blocks the channel.
type process struct {
	mutex  sync.Mutex
	queue  [][]byte
	queued int
	closed bool
	wake   chan struct{}
}

// inputBytesMax bounds unread input; what exceeds it ends the input.
const inputBytesMax = 16 << 20

// programsMax is how many programs may run at once.
const programsMax = 64

func (p *process) input(payload []byte) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return
	}
	if len(payload) == 0 || p.queued+len(payload) > inputBytesMax {
		p.closed = true
	} else {
		p.queue = append(p.queue, append([]byte(nil), payload...))
		p.queued += len(payload)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// feed copies queued input to the program until it is closed or done.
func (p *process) feed(stdin io.WriteCloser, over <-chan struct{}) {
	defer stdin.Close()
	for {
		p.mutex.Lock()
		var next []byte
		if len(p.queue) > 0 {
			next, p.queue = p.queue[0], p.queue[1:]
			p.queued -= len(next)
		}
		closed := p.closed
		p.mutex.Unlock()
		if next != nil {
			if _, err := stdin.Write(next); err != nil {
				return
			}
			continue
		}
		if closed {
			return
		}
		select {
		case <-p.wake:
		case <-over:
			return
		}
	}
}

func (s *server) exec(sequence uint32, payload []byte) {
	var request guest.ExecRequest
	if err := json.Unmarshal(payload, &request); err != nil || request.Path == "" {
		s.refuse(sequence, abi.ErrSyntax, 0)
		return
	}
	if _, twice := s.running[sequence]; twice || len(s.running) >= programsMax {
		s.refuse(sequence, abi.ErrBusy, noOffset)
		return
	}
	command := exec.Command(request.Path, request.Arguments...)
	command.Env = append([]string{"PATH=/bin:/tmp", "HOME=/tmp", "TMPDIR=/tmp", "TERM=dumb"}, request.Environment...)
	command.Dir = request.Directory
	stdin, err := command.StdinPipe()
	if err != nil {
		s.exit(sequence, notStarted(err))
		return
	}
	command.Stdout = &output{s.sender, abi.MessageStdout, sequence}
	command.Stderr = &output{s.sender, abi.MessageStderr, sequence}
	if err := command.Start(); err != nil {
		s.exit(sequence, notStarted(err))
		return
	}
	running := &process{wake: make(chan struct{}, 1)}
	s.running[sequence] = running
	over := make(chan struct{})
	go running.feed(stdin, over)
	go func() {
		err := command.Wait() // returns after all output was sent
		close(over)
		s.exit(sequence, ended(command, err))
		s.ended <- sequence
	}()
}

func (s *server) exit(sequence uint32, reply abi.ExitReply) {
	payload := make([]byte, abi.ExitReplyBytes)
	reply.Put(payload)
	s.send(abi.MessageExit, sequence, payload)
}

// notStarted carries the errno; the lab makes the sentence.
func notStarted(err error) abi.ExitReply {
	reply := abi.ExitReply{ExitCode: -1}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		reply.Signal = int32(errno)
	}
	return reply
}

func ended(command *exec.Cmd, err error) abi.ExitReply {
	state := command.ProcessState
	if state == nil {
		return notStarted(err)
	}
	reply := abi.ExitReply{ExitCode: int32(state.ExitCode()),
		UserNS: uint64(state.UserTime()), SystemNS: uint64(state.SystemTime())}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		const shellSignalBase = 128 // what a shell reports for a killed program
		reply.Signal = int32(status.Signal())
		reply.ExitCode = shellSignalBase + reply.Signal
	}
	return reply
}

// output sends what a program prints, frame by frame.
type output struct {
	*sender
	kind     uint16
	sequence uint32
}

var _ io.Writer = (*output)(nil)

func (o *output) Write(text []byte) (int, error) {
	for sent := 0; sent < len(text); {
		end := min(sent+abi.FramePayloadMax, len(text))
		if err := o.send(o.kind, o.sequence, text[sent:end]); err != nil {
			return sent, os.ErrClosed
		}
		sent = end
	}
	return len(text), nil
}
