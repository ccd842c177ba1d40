//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/lab/guest"
)

// serveHere runs the agent's server on this machine, with the lab's client on
// the other end, and returns the client and raw access to its end.
func serveHere(t *testing.T) (client *guest.Client, raw *os.File, over <-chan error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	agent, lab := os.NewFile(uintptr(pair[0]), "agent"), os.NewFile(uintptr(pair[1]), "lab")
	ended := make(chan error, 1)
	go func() { ended <- serve(agent) }()
	client = guest.NewClient(lab)
	t.Cleanup(func() { client.Close(); agent.Close() })
	if hello, err := client.Hello(shortly(t)); err != nil || hello.Kind != abi.KernelLinux || hello.CPUs == 0 {
		t.Fatalf("hello %+v, %v", hello, err)
	}
	return client, lab, ended
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestPrograms(t *testing.T) {
	client, _, _ := serveHere(t)
	for _, c := range []struct {
		script, input, stdout, stderr string
		exit                          abi.ExitReply
	}{
		{"echo out; echo err >&2; exit 3", "", "out\n", "err\n", abi.ExitReply{ExitCode: 3}},
		{"cat", strings.Repeat("0123456789abcdef", 20000), strings.Repeat("0123456789abcdef", 20000), "", abi.ExitReply{}},
		{"kill -9 $$", "", "", "", abi.ExitReply{ExitCode: 137, Signal: 9}},
		{"echo $A; pwd", "", "b c\n/\n", "", abi.ExitReply{}},
	} {
		var stdout, stderr bytes.Buffer
		request := guest.ExecRequest{Path: "/bin/sh", Arguments: []string{"-c", c.script}, Environment: []string{"A=b c"}, Directory: "/"}
		exit, err := client.Exec(shortly(t), request, strings.NewReader(c.input), &stdout, &stderr)
		exit.UserNS, exit.SystemNS = 0, 0
		if err != nil || exit != c.exit || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%q: %+v, %v; %d bytes out, stderr %q", c.script, exit, err, stdout.Len(), stderr.String())
		}
	}
}

// TestPingDuringProgram: a running program does not keep the agent from
// answering.
func TestPingDuringProgram(t *testing.T) {
	client, _, _ := serveHere(t)
	ctx, cancel := context.WithCancel(shortly(t))
	running := make(chan error, 1)
	go func() {
		_, err := client.Exec(ctx, guest.ExecRequest{Path: "/bin/sleep", Arguments: []string{"5"}}, nil, &bytes.Buffer{}, &bytes.Buffer{})
		running <- err
	}()
	for range 10 {
		if err := client.Ping(shortly(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-running; !errors.Is(err, context.Canceled) {
		t.Errorf("exec ended with %v before it was cancelled", err)
	}
}

func TestPrograms_notStarted(t *testing.T) {
	client, _, _ := serveHere(t)
	exit, err := client.Exec(shortly(t), guest.ExecRequest{Path: "/nonexistent"}, nil, nil, nil)
	if err != nil || exit.ExitCode != -1 || exit.Signal != int32(unix.ENOENT) {
		t.Errorf("exec of nothing: %+v, %v", exit, err)
	}
}

func TestFiles(t *testing.T) {
	client, _, _ := serveHere(t)
	path := filepath.Join(t.TempDir(), "deep", "file")
	content := bytes.Repeat([]byte("content "), 30000)
	for _, want := range [][]byte{content, []byte("shorter"), nil} { // each replaces the one before
		if err := client.PutFile(shortly(t), path, 0o640, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived of %d, %v", len(got), len(want), err)
		}
	}
	if err := client.PutFile(shortly(t), "relative", 0o640, strings.NewReader("x")); err == nil {
		t.Error("a relative path was accepted")
	}
}

// TestHostileRequests: each is refused with a code, changes nothing, and the
// agent goes on.
func TestHostileRequests(t *testing.T) {
	client, raw, _ := serveHere(t)
	long := make([]byte, abi.FileChunkBytes)
	(&abi.FileChunk{PathBytes: 1 << 30}).Put(long)
	for _, c := range []struct {
		kind    uint16
		payload []byte
		code    abi.Code
	}{
		{abi.MessagePutFile, nil, abi.ErrTruncated},
		{abi.MessagePutFile, long, abi.ErrBadLength},
		{abi.MessageExec, []byte("{"), abi.ErrSyntax},
		{abi.MessageExec, []byte("{}"), abi.ErrSyntax},
		{abi.MessageInstall, make([]byte, 48), abi.ErrUnsupported},
		{0x7ffe, nil, abi.ErrUnsupported},
	} {
		_, err := client.Call(shortly(t), c.kind, abi.MessagePong, c.payload)
		var refused *guest.RefusedError
		if !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("kind %d, %d bytes: %v, want %v", c.kind, len(c.payload), err, c.code)
		}
	}
	if _, err := raw.Write([]byte("KLAB garbage KLABKLAB\x00\xff")); err != nil {
		t.Fatal(err)
	}
	damaged := make([]byte, abi.FrameHeaderBytes+4)
	abi.PutFrame(damaged, abi.MessagePing, 1, []byte("ping"))
	damaged[len(damaged)-1] ^= 1
	if _, err := raw.Write(damaged); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(shortly(t), []byte("alive")); err != nil {
		t.Error(err)
	}
}

func TestPowerOff(t *testing.T) {
	client, _, over := serveHere(t)
	if err := client.PowerOff(shortly(t)); err != nil {
		t.Error(err)
	}
	if err := <-over; err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

// TestJobRefusals: what cannot be measured is said in the report.
func TestJobRefusals(t *testing.T) {
	live, err := guest.AppendJob(nil, guest.JobSpec{Kind: abi.JobLive})
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(live)
	damaged[40] ^= 1
	for name, c := range map[string]struct {
		blob []byte
		code abi.Code
	}{
		"empty": {nil, abi.ErrTruncated}, "damaged": {damaged, abi.ErrChecksum}, "live": {live, abi.ErrUnsupported},
	} {
		if report := measure(c.blob); report.Code != c.code || report.Offered != 0 {
			t.Errorf("%s: %+v", name, report)
		}
	}
}
