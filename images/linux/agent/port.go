//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// The port appears when the host has answered the driver, shortly after init
// starts; the wait is bounded in the guest's time.
const (
	portTries = 2000
	portPause = 5 * time.Millisecond
)

// openPort finds the virtio-serial port that is the control channel.
func openPort() (*os.File, error) {
	for range portTries {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err == nil && strings.TrimSpace(string(text)) == abi.ControlPortName {
				device := filepath.Join("/dev", filepath.Base(filepath.Dir(name)))
				return os.OpenFile(device, os.O_RDWR, 0)
			}
		}
		time.Sleep(portPause)
	}
	return nil, errors.New("no virtio-serial port named " + abi.ControlPortName)
}

// openSerial opens the serial port for frames: the terminal layer must not
// change a byte.
func openSerial() (*os.File, error) {
	port, err := os.OpenFile("/dev/ttyAMA0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	settings.Oflag &^= unix.OPOST
	settings.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	return port, unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, settings)
}

// closeSerial waits until all bytes have left.
func closeSerial(port *os.File) error {
	const waitForOutput = 1 // tcdrain(3)
	if err := unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, waitForOutput); err != nil {
		return err
	}
	return port.Close()
}

// sender writes whole frames; several goroutines share it.
type sender struct {
	mutex sync.Mutex
	port  *os.File
	frame [abi.FrameHeaderBytes + abi.FramePayloadMax]byte
}

func (s *sender) send(kind uint16, sequence uint32, payload []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := abi.PutFrame(s.frame[:], kind, sequence, payload)
	if n == 0 {
		return fmt.Errorf("message %d of %d bytes is too large", kind, len(payload))
	}
	_, err := s.port.Write(s.frame[:n])
	return err
}

func (s *sender) refuse(sequence uint32, code abi.Code, offset uint32) error {
	payload := make([]byte, abi.ErrorReplyBytes)
	(&abi.ErrorReply{Code: code, Offset: offset}).Put(payload)
	return s.send(abi.MessageError, sequence, payload)
}

// noOffset says that a refusal is about the request as a whole.
const noOffset = 0xffffffff
