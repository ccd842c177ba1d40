package qemu

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

func frameOf(kind uint16, payload []byte) []byte {
	frame := make([]byte, abi.FrameHeaderBytes+len(payload))
	abi.PutFrame(frame, kind, 0, payload)
	return frame
}

// FuzzSplit: every byte of a shared serial port goes to exactly one side, in
// order; what is on the control side is whole good frames, what is on the text
// side holds none, and how reads cut the stream makes no difference.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("[    1.0] Linux says KLAB\n"), []byte("report"))
	f.Add(frameOf(abi.MessageLog, []byte("x"))[:20], []byte{})
	f.Fuzz(func(t *testing.T, noise, payload []byte) {
		if len(payload) > abi.FramePayloadMax {
			return
		}
		input := append(append(bytes.Clone(noise), frameOf(abi.MessageReport, payload)...), noise...)
		var control, text bytes.Buffer
		if err := splitTo(bytes.NewReader(input), &control, &text); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if control.Len()+text.Len() != len(input) {
			t.Fatalf("%d and %d bytes of %d", control.Len(), text.Len(), len(input))
		}
		rest, frames := control.Bytes(), 0
		for ; len(rest) > 0; frames++ {
			_, _, consumed, code := abi.ParseFrame(rest)
			if code != abi.OK {
				t.Fatalf("frame %d on the control side: %v", frames, code)
			}
			rest = rest[consumed:]
		}
		var controlByByte, textByByte bytes.Buffer
		splitTo(iotest.OneByteReader(bytes.NewReader(input)), &controlByByte, &textByByte)
		if !bytes.Equal(control.Bytes(), controlByByte.Bytes()) || !bytes.Equal(text.Bytes(), textByByte.Bytes()) {
			t.Fatal("the cut of the stream made a difference")
		}
	})
}

// TestSplit: a report among the kernel's lines, as a measured guest prints it.
func TestSplit(t *testing.T) {
	frame := frameOf(abi.MessageReport, make([]byte, abi.ReportBytes))
	input := append(append([]byte("[    0.1] booting\n"), frame...), "[    7.1] reboot: Power down\n"...)
	var control, text bytes.Buffer
	if err := splitTo(bytes.NewReader(input), &control, &text); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !bytes.Equal(control.Bytes(), frame) || text.String() != "[    0.1] booting\n[    7.1] reboot: Power down\n" {
		t.Errorf("control %d bytes, text %q", control.Len(), text.String())
	}
}
