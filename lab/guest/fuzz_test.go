package guest

import (
	"bytes"
	"io"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// pieces is a stream that hands out its bytes in pieces of varying size.
type pieces struct {
	rest []byte
	step int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(to, p.rest[:min(p.step, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) Write(from []byte) (int, error) { return len(from), nil }

// FuzzStream feeds arbitrary bytes, in pieces of any size, to a client, with a
// good frame at the end. Whatever came before, all bytes are accounted for, no
// message is invented, and how the bytes were cut makes no difference. The
// oracle is abi.ParseFrame over the whole input.
func FuzzStream(f *testing.F) {
	f.Add([]byte("KLAB"), uint8(1))
	f.Add(frameOf(abi.MessageLog, 1, []byte("text")), uint8(7))
	f.Add(append(frameOf(abi.MessageRecord, 2, make([]byte, abi.RecordBytes)), "KLABKLABKLAB"...), uint8(200))
	f.Fuzz(func(t *testing.T, noise []byte, step uint8) {
		input := append(bytes.Clone(noise), frameOf(abi.MessageReport, 9, make([]byte, abi.ReportBytes))...)
		want, skipped := oracle(input)
		client := NewClient(&pieces{rest: input, step: int(step) + 1})
		stream := client.Stream()
		<-client.Done()
		// The subscription races with the reader, so only a suffix is promised.
		var got []Message
		for {
			m, err := stream.Next(t.Context())
			if err != nil {
				break
			}
			got = append(got, m)
			Records(m)
			Events(m)
			ReadProgram(m)
			ReadReport(m)
		}
		if len(got) > len(want) {
			t.Fatalf("%d messages of %d", len(got), len(want))
		}
		for i, m := range want[len(want)-len(got):] {
			if m.Kind != got[i].Kind || m.Sequence != got[i].Sequence || !bytes.Equal(m.Payload, got[i].Payload) {
				t.Fatalf("message %d: %+v, want %+v", i, got[i], m)
			}
		}
		if client.SkippedBytes() != skipped {
			t.Fatalf("skipped %d, want %d", client.SkippedBytes(), skipped)
		}
	})
}

// oracle parses the whole input at once.
func oracle(input []byte) (messages []Message, skipped uint64) {
	for len(input) > 0 {
		header, payload, consumed, code := abi.ParseFrame(input)
		if code == abi.ErrTruncated && consumed == 0 {
			return messages, skipped + uint64(len(input))
		}
		if code == abi.OK {
			messages = append(messages, Message{Kind: header.Type, Sequence: header.Sequence, Payload: payload})
		} else {
			skipped += uint64(consumed)
		}
		input = input[consumed:]
	}
	return messages, skipped
}
