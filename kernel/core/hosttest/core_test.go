// Package hosttest has no code of its own: its tests build the portable C of
// the core (device tree, allocators, formatting, memory functions) for the
// host, with sanitizers where the compiler has them, and drive it.
package hosttest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const treePath = "testdata/qemu-virt-4.dtb"

// core is the running C program; it answers one frame with one line.
type core struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  bytes.Buffer
}

var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "core-host")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "core_host")
	sources := []string{
		"testdata/core_host.c", "../fdt/fdt.c", "../../board/qemuvirt/tree.c",
		"../mem/buddy.c", "../mem/pool.c", "../log/format.c",
	}
	// go test repeats a result unless a file the test itself read has changed.
	headers, _ := filepath.Glob("../*/*.h")
	for _, path := range append(append(headers, "../lib/string.c", "../../board/qemuvirt/board.h", "../../board/qemuvirt/tree.h"), sources...) {
		if _, err := os.ReadFile(path); err != nil {
			return "", err
		}
	}
	flags := []string{"-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-I", "../..", "-fno-builtin", "-o", binary}
	sanitizers := []string{"-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	var report []byte
	for _, attempt := range [][]string{append([]string{"clang-19"}, sanitizers...), append([]string{"gcc"}, sanitizers...), {"clang-19"}, {"cc"}} {
		arguments := append(append(append([]string{}, attempt[1:]...), flags...), sources...)
		if report, err = exec.Command(attempt[0], arguments...).CombinedOutput(); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("no C compiler builds the core for the host: %v\n%s", err, report)
})

func TestMain(m *testing.M) {
	m.Run() // go test itself ends the process with its result
	if binary, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(binary))
	}
}

func start(t testing.TB) *core {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c := &core{command: exec.Command(binary)}
	c.command.Stderr = &c.stderr
	c.in, _ = c.command.StdinPipe()
	out, _ := c.command.StdoutPipe()
	c.out = bufio.NewReader(out)
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.in.Close()
		c.command.Wait()
	})
	return c
}

func (c *core) ask(t testing.TB, kind byte, payload []byte) string {
	t.Helper()
	frame := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	c.in.Write(append(frame, payload...))
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.in.Close()
		c.command.Wait()
		t.Fatalf("the C program ended: %v\n%s", err, c.stderr.String())
	}
	return strings.TrimSuffix(line, "\n")
}

func realTree(t testing.TB) []byte {
	t.Helper()
	blob, err := os.ReadFile(treePath)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// Code names of core/fdt/fdt.h and board/qemuvirt/tree.h.
const (
	truncated  = "-1"
	badMagic   = "-2"
	badVersion = "-3"
	badLayout  = "-4"
	tooLarge   = "-7"
	incomplete = "-32"
	badValue   = "-33"
)

func TestRealTree(t *testing.T) {
	c := start(t)
	answer := c.ask(t, 't', realTree(t))
	// What QEMU 7.2 documents for virt: PL011 is SPI 1, virtio slots begin at
	// SPI 16, the virtual timer is PPI 11.
	want := "0 cpus 4 memory 40000000+8000000 uart 9000000/33 virtio 32 first a000000/48 " +
		"gic 8000000 80a0000 timer 27 initrd "
	if !strings.HasPrefix(answer, want) || !strings.HasSuffix(answer, "affinity 0 1 2 3 bootargs exercise=none quiet") {
		t.Fatalf("read as %q", answer)
	}
}

// withWord returns a copy with one big-endian header word changed.
func withWord(blob []byte, at int, value uint32) []byte {
	copied := bytes.Clone(blob)
	binary.BigEndian.PutUint32(copied[at:], value)
	return copied
}

func TestTreeHeaders(t *testing.T) {
	c, blob := start(t), realTree(t)
	cases := []struct {
		name string
		blob []byte
		code string
	}{
		{"empty", nil, truncated},
		{"magic", withWord(blob, 0, 0), badMagic},
		{"total beyond the bytes", withWord(blob, 4, uint32(len(blob)+1)), truncated},
		{"total beyond reason", withWord(blob, 4, 0xffffffff), tooLarge},
		{"total below the header", withWord(blob, 4, 39), truncated},
		{"old version", withWord(blob, 20, 16), badVersion},
		{"newer, incompatible", withWord(blob, 24, 18), badVersion},
		{"structure in the header", withWord(blob, 8, 4), badLayout},
		{"structure misaligned", withWord(blob, 8, 65), badLayout},
		{"structure beyond the end", withWord(blob, 36, 0xfffffff0), badLayout},
		{"strings beyond the end", withWord(blob, 12, uint32(len(blob)+4)), badLayout},
		{"strings wrap", withWord(blob, 32, 0xffffffff), badLayout},
		{"structure cut", withWord(blob, 36, 64), truncated},
		{"no strings", withWord(blob, 32, 0), truncated},
	}
	for _, test := range cases {
		if code := c.ask(t, 't', test.blob); code != test.code {
			t.Errorf("%s: code %s, want %s", test.name, code, test.code)
		}
	}
}

// Every cut of the blob, plain and with the header's total made to agree.
func TestTreeTruncations(t *testing.T) {
	c, blob := start(t), realTree(t)
	for length := range blob {
		cut := blob[:length]
		if answer := c.ask(t, 't', cut); answer != truncated {
			t.Fatalf("%d of %d bytes: %q", length, len(blob), answer)
		}
		if length < 8 {
			continue
		}
		if answer := c.ask(t, 't', withWord(cut, 4, uint32(length))); strings.HasPrefix(answer, "0 ") {
			t.Fatalf("%d of %d bytes with a total that agrees: accepted", length, len(blob))
		}
	}
}

// structureLast is the same tree with its structure block at the very end, so
// that a read past a property is a read past the blob.
func structureLast(blob []byte) (tree []byte, structureAt int) {
	at := func(offset int) uint32 { return binary.BigEndian.Uint32(blob[offset:]) }
	strings := blob[at(12) : at(12)+at(32)]
	structure := blob[at(8) : at(8)+at(36)]
	tree = append(bytes.Clone(blob[:64]), strings...)
	tree = append(tree, make([]byte, -len(tree)&3)...)
	structureAt = len(tree)
	tree = append(tree, structure...)
	for offset, value := range map[int]int{4: len(tree), 8: structureAt, 12: 64} {
		binary.BigEndian.PutUint32(tree[offset:], uint32(value))
	}
	return tree, structureAt
}

// The structure block cut at each byte, in the middle of what is being read.
func TestTreeStructureTruncations(t *testing.T) {
	c := start(t)
	tree, structureAt := structureLast(realTree(t))
	if answer := c.ask(t, 't', tree); !strings.HasPrefix(answer, "0 ") {
		t.Fatalf("rearranged: %q", answer)
	}
	for length := structureAt; length < len(tree); length++ {
		cut := withWord(withWord(tree[:length], 4, uint32(length)), 36, uint32(length-structureAt))
		if answer := c.ask(t, 't', cut); answer != truncated {
			t.Fatalf("structure of %d bytes: %q", length-structureAt, answer)
		}
	}
}

// checkAnswer holds for every blob whatever: an answer, and if the tree was
// accepted, values the kernel can live with.
func checkAnswer(t testing.TB, answer string) {
	t.Helper()
	if code, err := strconv.Atoi(answer); err == nil && code < 0 && code >= -33 {
		return
	}
	var cpus, uartIntid, virtio uint
	var memory, memoryBytes, uart uint64
	read, err := fmt.Sscanf(answer, "0 cpus %d memory %x+%x uart %x/%d virtio %d", &cpus, &memory, &memoryBytes, &uart, &uartIntid, &virtio)
	if err != nil || read != 6 {
		t.Fatalf("answer %q", answer)
	}
	if cpus < 1 || cpus > 8 || virtio > 32 || uartIntid > 1019 || memoryBytes < 16<<20 || memory+memoryBytes > 1<<40 || memory+memoryBytes < memory {
		t.Fatalf("accepted nonsense: %q", answer)
	}
	at := strings.Index(answer, "initrd ")
	var initrd, initrdBytes uint64
	if _, err := fmt.Sscanf(answer[at:], "initrd %x+%x", &initrd, &initrdBytes); err != nil {
		t.Fatalf("answer %q", answer)
	}
	if initrd+initrdBytes != 0 && (initrd < memory || initrdBytes > memoryBytes || initrd-memory > memoryBytes-initrdBytes) {
		t.Fatalf("initrd outside memory: %q", answer)
	}
}

// Each bit of the structure's first part and a seeded choice of the rest.
func TestTreeBitFlips(t *testing.T) {
	const seed, flips = 20260801, 12000
	c := start(t)
	blob, _ := structureLast(realTree(t))
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range flips {
		bit := i
		if i >= 4000 {
			bit = random.IntN(len(blob) * 8)
		}
		flipped := bytes.Clone(blob)
		flipped[bit/8] ^= 1 << (bit % 8)
		checkAnswer(t, c.ask(t, 't', flipped))
	}
}

// Garbage behind a good header, from tokens that lead deep into the reader.
func TestTreeGarbage(t *testing.T) {
	const seed, rounds = 20260802, 3000
	c, blob := start(t), realTree(t)
	for i := range rounds {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		garbage := bytes.Clone(blob[:64+4*random.IntN(500)])
		for at := 64; at+4 <= len(garbage); at += 4 {
			value := []uint32{1, 2, 3, 4, 9, 0, random.Uint32(), uint32(random.IntN(600))}[random.IntN(8)]
			binary.BigEndian.PutUint32(garbage[at:], value)
		}
		for at, value := range map[int]int{4: len(garbage), 8: 64, 12: 64, 32: len(garbage) - 64, 36: len(garbage) - 64} {
			binary.BigEndian.PutUint32(garbage[at:], uint32(value))
		}
		answer := c.ask(t, 't', garbage)
		checkAnswer(t, answer)
		if strings.HasPrefix(answer, "0 ") {
			t.Fatalf("seed %d round %d: garbage accepted as %q", seed, i, answer)
		}
	}
}

// Values that are well-formed and make no sense.
func TestTreeValues(t *testing.T) {
	c, blob := start(t), realTree(t)
	memory := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 0x40000000), 0x8000000)
	at := bytes.Index(blob, memory)
	if at < 0 {
		t.Fatal("the memory node is not where it was")
	}
	for _, span := range [][2]uint64{{0x40000000, 0}, {0x40000001, 0x8000000}, {0x40000000, 0x1000}, {0x40000000, 1 << 60}, {1 << 50, 0x8000000}} {
		changed := bytes.Clone(blob)
		binary.BigEndian.PutUint64(changed[at:], span[0])
		binary.BigEndian.PutUint64(changed[at+8:], span[1])
		if code := c.ask(t, 't', changed); code != badValue && code != incomplete {
			t.Errorf("memory %x+%x: %q", span[0], span[1], code)
		}
	}
	nameless := bytes.ReplaceAll(blob, []byte("arm,gic-v3\x00"), []byte("arm,gic-v9\x00"))
	if code := c.ask(t, 't', nameless); code != incomplete {
		t.Errorf("without interrupt controller: %q", code)
	}
}

func FuzzDeviceTree(f *testing.F) {
	blob := realTree(f)
	f.Add(blob)
	f.Add(blob[:64])
	f.Add(withWord(blob, 8, 60))
	c := start(f)
	f.Fuzz(func(t *testing.T, tree []byte) {
		if len(tree) <= 1<<20 {
			checkAnswer(t, c.ask(t, 't', tree))
		}
	})
}
