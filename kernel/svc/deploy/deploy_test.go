package deploy_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
	"github.com/kingly-os/go-kernel/kernel/svc/analyze"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/deploy"
	"github.com/kingly-os/go-kernel/kernel/svc/dryrun"
	"github.com/kingly-os/go-kernel/kernel/svc/jit"
	"github.com/kingly-os/go-kernel/kernel/svc/verify"
)

// board is a slot table without packets: who publishes what, and who is busy.
type board struct {
	rt.Backend // nil: anything else is a mistake of the package under test
	current    [4]int
	versions   [4]uint32
	busy       [deploy.Versions]bool
	published  int
	code       [deploy.Versions]int // bytes
}

func (b *board) Instructions() uint64 { return uint64(b.published) * 100 }

func (b *board) Publish(hook abi.HookID, index int, version uint32, mask uint32) {
	b.published++
	for cpu := range b.current {
		if mask>>cpu&1 != 0 {
			b.current[cpu], b.versions[cpu] = index, version
		}
	}
}

// LoadCode is only ever right while nobody can be inside.
func (b *board) LoadCode(hook abi.HookID, index int, code []byte) bool {
	if !b.Quiescent(hook, index) {
		panic("code pages of an index in use were written")
	}
	b.code[index] = len(code)
	return true
}

func (b *board) Quiescent(hook abi.HookID, index int) bool {
	for _, current := range b.current {
		if current == index {
			return false
		}
	}
	return index != 0 && !b.busy[index]
}

func start(t *testing.T) (*board, *deploy.Table, *dryrun.Judge) {
	b := new(board)
	previous := rt.SetBackend(b)
	t.Cleanup(func() { rt.SetBackend(previous) })
	table := new(deploy.Table)
	table.Boot(abi.HookNetRX, 4)
	return b, table, new(dryrun.Judge)
}

// choose makes a Chosen of a program that is different for each number.
func choose(t *testing.T, judge *dryrun.Judge, number int) (dryrun.Chosen, []byte) {
	t.Helper()
	out := make([]bpf.Instruction, 8)
	n, _, _ := bpf.Assemble([]byte(fmt.Sprintf("r1 = %d\nr0 = 2\nexit", number)), out)
	analyzed, _ := analyze.Check(bpf.Candidate{Hook: abi.HookNetRX, Instructions: out[:n]}, new(analyze.Workspace))
	program, fault := verify.Check(analyzed, new(verify.Workspace))
	if fault.Code != abi.OK {
		t.Fatal(fault.Code)
	}
	chosen, code := judge.Waive(program)
	if code != abi.OK {
		t.Fatal(code)
	}
	wire := make([]byte, n*bpf.SlotBytes)
	for i := 0; i < n; i++ {
		bpf.EncodeSlot(out[i], wire[i*bpf.SlotBytes:])
	}
	return chosen, wire
}

func TestCanaryThenAllThenBack(t *testing.T) {
	b, table, judge := start(t)
	chosen, _ := choose(t, judge, 1)
	d, code := table.Begin(chosen, jit.Code{}, 2)
	if code != abi.OK || d.CPUMask() != 1<<2 || b.current != [4]int{0, 0, d.Index(), 0} || !table.OnTrial() {
		t.Fatalf("canary: %v %v %v", code, d, b.current)
	}
	if d.SwapInsn == 0 {
		t.Error("the swap was not measured")
	}
	if _, code := table.Begin(chosen, jit.Code{}, 0); code != abi.ErrNotFound {
		t.Errorf("a spent Chosen: %v", code)
	}
	if other, _ := choose(t, judge, 2); true {
		if _, code := table.Begin(other, jit.Code{}, 0); code != abi.ErrBusy {
			t.Errorf("second canary: %v", code)
		}
	}
	all, code := table.Promote()
	i := d.Index()
	if code != abi.OK || b.current != [4]int{i, i, i, i} || all.Version() != d.Version() {
		t.Fatalf("promote: %v %v", code, b.current)
	}
	if _, code := table.Promote(); code != abi.ErrNotFound {
		t.Errorf("promote without canary: %v", code)
	}
	back, code := table.Rollback()
	if code != abi.OK || back.Version() != 0 || b.current != [4]int{} {
		t.Fatalf("rollback: %v %v", code, b.current)
	}
	if _, code := table.Rollback(); code != abi.ErrNotFound {
		t.Errorf("rollback of the default: %v", code)
	}
}

func TestRollbackOfACanaryTouchesOnlyItsCPUs(t *testing.T) {
	b, table, judge := start(t)
	first, _ := choose(t, judge, 1)
	table.Begin(first, jit.Code{}, 0)
	running, _ := table.Promote()
	second, _ := choose(t, judge, 2)
	canary, code := table.Begin(second, jit.Code{}, 3)
	if code != abi.OK || canary.Index() == running.Index() {
		t.Fatalf("%v at %d", code, canary.Index())
	}
	back, _ := table.Rollback()
	i := running.Index()
	if back.Version() != running.Version() || b.current != [4]int{i, i, i, i} || b.versions[3] != running.Version() {
		t.Errorf("%v %v", b.current, b.versions)
	}
}

// With every free index busy nothing changes, and the Chosen is not spent.
func TestNotQuiescentChangesNothing(t *testing.T) {
	b, table, judge := start(t)
	b.busy = [deploy.Versions]bool{false, true, true, true}
	chosen, _ := choose(t, judge, 1)
	if _, code := table.Begin(chosen, jit.Code{}, 0); code != abi.ErrNotQuiescent {
		t.Fatal(code)
	}
	if b.published != 0 || table.OnTrial() || !chosen.Valid() {
		t.Error("something changed")
	}
	b.busy[2] = false
	if d, code := table.Begin(chosen, jit.Code{}, 0); code != abi.OK || d.Index() != 2 {
		t.Errorf("%v at %d", code, d.Index())
	}
}

// The previous version keeps its storage until a newer one takes its place.
func TestPreviousStaysWhileItIsNeeded(t *testing.T) {
	_, table, judge := start(t)
	var last, before abi.Digest
	for n := 1; n <= 20; n++ {
		chosen, _ := choose(t, judge, n)
		want := chosen.Digest()
		d, code := table.Begin(chosen, jit.Code{}, n%4)
		if code != abi.OK {
			t.Fatalf("program %d: %v", n, code)
		}
		if table.Digest(d.Index()) != want {
			t.Fatalf("program %d: another one lies at its index", n)
		}
		if image, _ := table.Running(); n > 1 && image.Digest() != last {
			t.Fatalf("program %d: the canary displaced the running program", n)
		}
		switch n % 5 {
		case 0: // the canary fails
			table.Rollback()
		case 3: // the installed program fails, the one before runs again
			table.Promote()
			back, _ := table.Rollback()
			if back.Version() != 0 && table.Digest(back.Index()) != last {
				t.Fatalf("program %d: rollback found another program", n)
			}
		default:
			table.Promote()
			before, last = last, want
		}
	}
	_ = before
}

func TestRecoverTakesACanaryBack(t *testing.T) {
	b, table, judge := start(t)
	first, _ := choose(t, judge, 1)
	table.Begin(first, jit.Code{}, 0)
	running, _ := table.Promote()
	second, _ := choose(t, judge, 2)
	table.Begin(second, jit.Code{}, 1)
	table.Recover()
	i := running.Index()
	if table.OnTrial() || b.current != [4]int{i, i, i, i} {
		t.Errorf("%v", b.current)
	}
}

func TestAttestHashesWhatLiesThere(t *testing.T) {
	_, table, judge := start(t)
	chosen, wire := choose(t, judge, 5)
	d, _ := table.Begin(chosen, jit.Code{}, 0)
	nonce := make([]byte, 32)
	nonce[3] = 9
	var program, attestation abi.Digest
	if code := table.Attest(d.Index(), nonce, 77, &program, &attestation); code != abi.OK {
		t.Fatal(code)
	}
	message := append(append([]byte{}, nonce...), byte(abi.HookNetRX))
	message = binary.LittleEndian.AppendUint64(append(message, wire...), 77)
	if program != sha256.Sum256(wire) || attestation != sha256.Sum256(message) {
		t.Error("another hash than the standard library's")
	}
	for _, bad := range []int{-1, deploy.Versions} {
		if code := table.Attest(bad, nonce, 0, &program, &attestation); code != abi.ErrBadValue {
			t.Errorf("index %d: %v", bad, code)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	_, table, judge := start(t)
	var program, attestation abi.Digest
	nonce := make([]byte, 32)
	chosen, _ := choose(t, judge, 1)
	table.Begin(chosen, jit.Code{}, 0)
	if n := testing.AllocsPerRun(10, func() {
		table.Attest(1, nonce, 1, &program, &attestation)
		table.Promote()
		table.Rollback()
		table.Recover()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCode: the code that is loaded is the chosen program's or none, and goes
// to its own index before anything is published.
func TestCode(t *testing.T) {
	b, table, judge := start(t)
	compiler := new(jit.Workspace)
	compile := func(c dryrun.Chosen) jit.Code {
		compiled, code := jit.Compile(c.Program(), compiler)
		if code != abi.OK {
			t.Fatal(code)
		}
		return compiled
	}
	first, _ := choose(t, judge, 1)
	d, code := table.Begin(first, compile(first), 0)
	if code != abi.OK || d.CodeBytes() == 0 || b.code[d.Index()] != int(d.CodeBytes()) {
		t.Fatalf("%v: %d bytes, %d loaded", code, d.CodeBytes(), b.code[d.Index()])
	}
	if all, _ := table.Promote(); all.CodeBytes() != d.CodeBytes() {
		t.Errorf("promoted with %d bytes", all.CodeBytes())
	}
	second, _ := choose(t, judge, 2)
	stale := compile(second)
	third, _ := choose(t, judge, 3)
	program := third.Program()
	if d, code := table.Begin(third, stale, 0); code != abi.OK || d.CodeBytes() != 0 || b.code[d.Index()] != 0 {
		t.Errorf("code of another program: %v, %d bytes", code, d.CodeBytes())
	}
	if _, code := jit.Compile(program, compiler); code != abi.OK {
		t.Error(code)
	}
	if stale.Valid() || stale.Bytes() != nil {
		t.Error("code outlived the next compilation")
	}
}
