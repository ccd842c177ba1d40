package qemu

import (
	"errors"
	"io"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// A measured Linux guest has no virtio device: even the probing of one moves
// its boot by a percent, because the host answers in host time. Its report
// leaves by the serial port, among what the kernel prints; this file takes the
// two apart again.

// oneWay is a control channel that can only be listened to.
type oneWay struct{ *io.PipeReader }

var errOneWay = errors.New("a measured Linux guest takes no requests: its job came before it started")

func (oneWay) Write([]byte) (int, error) { return 0, errOneWay }

// textPort is the serial port without the frames.
type textPort struct {
	*io.PipeReader
	port io.ReadWriteCloser
}

func (t textPort) Write(text []byte) (int, error) { return t.port.Write(text) }
func (t textPort) Close() error                   { return errors.Join(t.PipeReader.Close(), t.port.Close()) }

// split reads the port until its end: whole good frames go to control, all
// other bytes to text. Both must be read.
func split(port io.ReadWriteCloser) (control oneWay, text textPort) {
	controlReader, controlWriter := io.Pipe()
	textReader, textWriter := io.Pipe()
	go func() {
		err := splitTo(port, controlWriter, textWriter)
		controlWriter.CloseWithError(err)
		textWriter.CloseWithError(err)
	}()
	return oneWay{controlReader}, textPort{textReader, port}
}

// splitTo holds back at most one incomplete frame.
func splitTo(port io.Reader, control, text io.Writer) error {
	buffer := make([]byte, 0, 4*(abi.FrameHeaderBytes+abi.FramePayloadMax))
	for {
		n, readErr := port.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		at := 0
		for at < len(buffer) {
			_, _, consumed, code := abi.ParseFrame(buffer[at:])
			if code == abi.ErrTruncated && consumed == 0 {
				break
			}
			to := text
			if code == abi.OK {
				to = control
			}
			if _, err := to.Write(buffer[at : at+consumed]); err != nil {
				return err
			}
			at += consumed
		}
		buffer = buffer[:copy(buffer[:cap(buffer)], buffer[at:])]
		if readErr != nil {
			_, err := text.Write(buffer)
			return errors.Join(readErr, err)
		}
	}
}
