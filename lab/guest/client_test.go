package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// fakeGuest answers frames on its end of a pipe as the handlers say.
type fakeGuest struct {
	conn net.Conn
	t    *testing.T
}

type frameHandler func(g *fakeGuest, header abi.FrameHeader, payload []byte)

// newFake returns a client and serves its other end until the test is over.
func newFake(t *testing.T, handle frameHandler) (*Client, *fakeGuest) {
	t.Helper()
	ours, theirs := net.Pipe()
	g := &fakeGuest{conn: theirs, t: t}
	client := NewClient(ours)
	t.Cleanup(func() { client.Close(); theirs.Close() })
	go func() {
		var buffer []byte
		chunk := make([]byte, 4096)
		for {
			n, err := theirs.Read(chunk)
			buffer = append(buffer, chunk[:n]...)
			for {
				header, payload, consumed, code := abi.ParseFrame(buffer)
				if consumed == 0 {
					break
				}
				if code != abi.OK {
					t.Errorf("the client sent what is no frame: %v", code)
				} else if handle != nil {
					handle(g, header, bytes.Clone(payload))
				}
				buffer = buffer[consumed:]
			}
			if err != nil {
				return
			}
		}
	}()
	return client, g
}

func frameOf(kind uint16, sequence uint32, payload []byte) []byte {
	frame := make([]byte, abi.FrameHeaderBytes+len(payload))
	abi.PutFrame(frame, kind, sequence, payload)
	return frame
}

func (g *fakeGuest) say(kind uint16, sequence uint32, payload []byte) {
	if _, err := g.conn.Write(frameOf(kind, sequence, payload)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		g.t.Errorf("fake guest: %v", err)
	}
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func helloBytes() []byte {
	hello := abi.Hello{Version: abi.Version, Kind: abi.KernelOurs, CPUs: 4, BootInsnCPU0: 123}
	copy(hello.Release[:], "fake 1.0")
	payload := make([]byte, abi.HelloBytes)
	hello.Put(payload)
	return payload
}

// TestHelloThroughNoise: what is no frame is skipped and counted, and a damaged
// frame costs itself only.
func TestHelloThroughNoise(t *testing.T) {
	client, fake := newFake(t, nil)
	noise := []byte("boot: KLAB is not a header\n")
	damaged := frameOf(abi.MessageLog, 0, []byte("lost"))
	damaged[len(damaged)-1] ^= 1
	for _, part := range [][]byte{noise, damaged, noise} {
		if _, err := fake.conn.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	hello := frameOf(abi.MessageHello, 0, helloBytes())
	for i := range hello { // byte by byte
		if _, err := fake.conn.Write(hello[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Hello(shortly(t))
	if err != nil || got.BootInsnCPU0 != 123 || Release(got) != "fake 1.0" {
		t.Errorf("Hello = %+v, %v", got, err)
	}
	if want := uint64(2*len(noise) + len(damaged)); client.SkippedBytes() != want {
		t.Errorf("skipped %d bytes, want %d", client.SkippedBytes(), want)
	}
}

// TestHelloOfTheDead: a channel that closes before Hello says so, and one that
// closes after it still has it.
func TestHelloOfTheDead(t *testing.T) {
	client, fake := newFake(t, nil)
	fake.conn.Close()
	if _, err := client.Hello(shortly(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Hello = %v, want ErrClosed", err)
	}
	client, fake = newFake(t, nil)
	fake.say(abi.MessageHello, 0, helloBytes())
	fake.conn.Close()
	<-client.Done()
	if _, err := client.Hello(shortly(t)); err != nil {
		t.Errorf("Hello after the end = %v", err)
	}
}

func TestPing(t *testing.T) {
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		if string(payload) == "spoil" {
			payload[0] ^= 0xff
		}
		g.say(abi.MessagePong, header.Sequence, payload)
	})
	if err := client.Ping(shortly(t), []byte("abc")); err != nil {
		t.Error(err)
	}
	if err := client.Ping(shortly(t), []byte("spoil")); err == nil {
		t.Error("a changed echo was accepted")
	}
	if err := client.Ping(shortly(t), make([]byte, pingBytesMax+1)); err == nil {
		t.Error("an oversized ping was sent")
	}
}

// TestRepliesFindTheirRequests: answers out of order, with records between.
func TestRepliesFindTheirRequests(t *testing.T) {
	var mutex sync.Mutex
	var held []abi.FrameHeader
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		mutex.Lock()
		defer mutex.Unlock()
		held = append(held, header)
		if len(held) < 3 {
			return
		}
		for i := len(held) - 1; i >= 0; i-- {
			g.say(abi.MessageRecord, held[i].Sequence, make([]byte, abi.RecordBytes))
			stats := abi.Stats{TimeNS: uint64(held[i].Sequence)}
			reply := make([]byte, abi.StatsBytes)
			stats.Put(reply)
			g.say(abi.MessageStatsReply, held[i].Sequence, reply)
		}
	})
	stream := client.Stream()
	seen := map[uint64]bool{}
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			stats, err := client.Stats(shortly(t))
			if err != nil {
				t.Error(err)
			}
			mutex.Lock()
			seen[stats.TimeNS] = true
			mutex.Unlock()
		})
	}
	wait.Wait()
	if len(seen) != 3 {
		t.Errorf("three calls saw %v", seen)
	}
	for range 3 {
		m, err := stream.Next(shortly(t))
		if err != nil || len(Records(m)) != 1 {
			t.Errorf("stream: %+v, %v", m, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		reply := make([]byte, abi.ErrorReplyBytes)
		(&abi.ErrorReply{Code: abi.ErrBadValue, Offset: 4}).Put(reply)
		g.say(abi.MessageError, header.Sequence, reply)
	})
	_, err := client.Traffic(shortly(t), abi.TrafficRequest{})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Code != abi.ErrBadValue || refused.Offset != 4 {
		t.Errorf("Traffic = %v", err)
	}
	if !strings.Contains(err.Error(), "at byte 4") {
		t.Errorf("%q does not name the place", err)
	}
}

// TestCallsEndWithTheGuest: a guest that dies ends every call at once.
func TestCallsEndWithTheGuest(t *testing.T) {
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) { g.conn.Close() })
	if err := client.Ping(shortly(t), nil); err == nil {
		t.Error("a dead guest answered")
	}
	if _, err := client.Stats(shortly(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Stats after the end = %v", err)
	}
	if _, err := client.Stream().Next(shortly(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("stream after the end = %v", err)
	}
}

// TestStreamKeepsTheLatest: a slow reader loses the oldest and is told so.
func TestStreamKeepsTheLatest(t *testing.T) {
	s := newStream()
	const extra = 10
	for i := range streamItemsMax + extra {
		s.push(Message{Sequence: uint32(i)})
	}
	if s.Lost() != extra {
		t.Errorf("lost %d, want %d", s.Lost(), extra)
	}
	if m, err := s.Next(shortly(t)); err != nil || m.Sequence != extra {
		t.Errorf("oldest left is %d, %v; want %d", m.Sequence, err, extra)
	}
	s = newStream()
	for range 3 {
		s.push(Message{Payload: make([]byte, streamBytesMax/2)})
	}
	if s.Lost() != 1 {
		t.Errorf("lost %d of three halves, want 1", s.Lost())
	}
}

// TestExec runs a fake program that echoes its input, on both outputs.
func TestExec(t *testing.T) {
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		switch header.Type {
		case abi.MessageExec:
			var request ExecRequest
			if err := json.Unmarshal(payload, &request); err != nil || request.Path != "/tmp/x" || request.Arguments[0] != "-v" {
				t.Errorf("exec request %s, %v", payload, err)
			}
			g.say(abi.MessageStderr, header.Sequence, []byte("started"))
		case abi.MessageStdin:
			if len(payload) > 0 {
				g.say(abi.MessageStdout, header.Sequence, payload)
				return
			}
			exit := make([]byte, abi.ExitReplyBytes)
			(&abi.ExitReply{ExitCode: 7}).Put(exit)
			g.say(abi.MessageExit, header.Sequence, exit)
		}
	})
	var stdout, stderr bytes.Buffer
	input := strings.Repeat("line\n", 10000)
	exit, err := client.Exec(shortly(t), ExecRequest{Path: "/tmp/x", Arguments: []string{"-v"}}, strings.NewReader(input), &stdout, &stderr)
	if err != nil || exit.ExitCode != 7 || stdout.String() != input || stderr.String() != "started" {
		t.Errorf("exit %+v, %v; %d bytes out, stderr %q", exit, err, stdout.Len(), stderr.String())
	}
}

// TestPutFile puts an empty file, and one of several chunks.
func TestPutFile(t *testing.T) {
	files := map[string][]byte{}
	client, _ := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		var chunk abi.FileChunk
		if code := chunk.Get(payload); code != abi.OK {
			t.Error(code)
		}
		rest := payload[abi.FileChunkBytes:]
		path := string(rest[:chunk.PathBytes])
		if uint64(len(files[path])) != chunk.Offset {
			t.Errorf("%s: chunk at %d, have %d", path, chunk.Offset, len(files[path]))
		}
		files[path] = append(files[path], rest[chunk.PathBytes:]...)
		g.say(abi.MessagePong, header.Sequence, nil)
	})
	content := bytes.Repeat([]byte("0123456789"), 20000)
	for path, want := range map[string][]byte{"/empty": nil, "/big": content, "/exact": content[:abi.FramePayloadMax-abi.FileChunkBytes-len("/exact")]} {
		if err := client.PutFile(shortly(t), path, 0o755, bytes.NewReader(want)); err != nil {
			t.Error(err)
		}
		got, ok := files[path]
		if !ok || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", path, len(got), len(want))
		}
	}
}

// TestTap: a second client hears the Hello and the records, and has its own
// requests answered.
func TestTap(t *testing.T) {
	client, fake := newFake(t, func(g *fakeGuest, header abi.FrameHeader, payload []byte) {
		g.say(abi.MessagePong, header.Sequence, payload)
	})
	fake.say(abi.MessageHello, 0, helloBytes())
	near, far := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- client.Tap(shortly(t), far) }()
	second := NewClient(near)
	if hello, err := second.Hello(shortly(t)); err != nil || hello.BootInsnCPU0 != 123 {
		t.Errorf("second Hello = %+v, %v", hello, err)
	}
	if err := second.Ping(shortly(t), []byte("second")); err != nil {
		t.Error(err)
	}
	if err := client.Ping(shortly(t), []byte("first")); err != nil {
		t.Error(err)
	}
	stream := second.Stream()
	fake.say(abi.MessageRecord, 0, make([]byte, 2*abi.RecordBytes))
	for {
		m, err := stream.Next(shortly(t))
		if err != nil {
			t.Fatal(err)
		}
		if records := Records(m); len(records) == 2 {
			break
		}
	}
	second.Close()
	if err := <-over; err == nil {
		t.Error("Tap ended without a reason")
	}
}
