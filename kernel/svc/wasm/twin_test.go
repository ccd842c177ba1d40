package wasm

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// The outside oracle is another engine's interpreter: on generated modules both
// must return the same bits, trap for the same reason, and leave the same memory.

var smallSizes = Sizes{Entries: 64, Slots: 1 << 16, Values: 1024, Blocks: 256, Elements: 64, Pages: 2, Frames: 64, Registers: 1 << 14}

var twinTraps = map[abi.Code]string{
	abi.ErrTrapUnreachable: "unreachable", abi.ErrTrapMemory: "out of bounds memory access", abi.ErrTrapDivide: "integer divide by zero",
	abi.ErrTrapOverflow: "integer overflow", abi.ErrTrapConversion: "invalid conversion to integer",
	abi.ErrTrapTable: "invalid table access", abi.ErrTrapNull: "invalid table access", abi.ErrTrapSignature: "indirect call type mismatch",
}

type twin struct {
	context context.Context
	runtime wazero.Runtime
	storage *Storage
	machine *Machine
}

func newTwin(t testing.TB) *twin {
	ctx := context.Background()
	w := &twin{ctx, wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter()), NewStorage(smallSizes), NewMachine(smallSizes)}
	t.Cleanup(func() { w.runtime.Close(ctx) })
	return w
}

// compare runs the module of a seed on both engines. It returns how many calls
// ended normally and how many trapped.
func (w *twin) compare(t *testing.T, seed uint64) (returned, trapped int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	g := generator{r: r}
	binary := g.module()
	other, err := w.runtime.InstantiateWithConfig(w.context, binary, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatalf("seed %d: the generated module is not valid: %v", seed, err)
	}
	defer other.Close(w.context)
	module, instance := new(Module), new(Instance)
	if fault := Load(binary, w.storage, module); fault.Code != abi.OK {
		t.Fatalf("seed %d: byte %d: %s", seed, fault.Offset, fault.Code)
	}
	if code := instance.Link(module, nil, NewRoom(module, smallSizes)); code != abi.OK {
		t.Fatalf("seed %d: %s", seed, code)
	}
	for call := 0; call < 3*generatedFunctions; call++ {
		function := uint32(call % generatedFunctions)
		arguments := []uint64{uint64(r.Uint32()), r.Uint64(), demote(samples(r)), samples(r)}
		w.machine.Fuel = 1 << 40
		got, code := w.machine.Call(instance.Function(function), arguments)
		want, err := other.ExportedFunction(string(rune('a'+function))).Call(w.context, arguments...)
		if code != abi.OK || err != nil {
			if err == nil || !strings.Contains(err.Error(), twinTraps[code]) || twinTraps[code] == "" {
				t.Fatalf("seed %d, call %d: ours %s, the other %v", seed, call, code, err)
			}
			trapped++
			continue
		}
		returned++
		if kind := module.Signature(function).Results[0]; !sameResult(kind, got, want[0]) {
			t.Fatalf("seed %d, call %d: type %#x: ours %#x, the other %#x", seed, call, kind, got, want[0])
		}
	}
	memory, _ := other.Memory().Read(0, other.Memory().Size())
	if !bytes.Equal(memory, instance.memory.Bytes) {
		t.Fatalf("seed %d: the memories differ", seed)
	}
	return returned, trapped
}

func sameResult(kind byte, got, want uint64) bool {
	switch kind {
	case F32:
		return got == want || isNaN32(got) && isNaN32(want)
	case F64:
		return got == want || isNaN64(got) && math.IsNaN(math.Float64frombits(want))
	}
	return got == want
}

func TestGeneratedModulesMatchAnotherEngine(t *testing.T) {
	w := newTwin(t)
	modules := uint64(1500)
	if testing.Short() {
		modules = 100
	}
	returned, trapped := 0, 0
	for seed := uint64(0); seed < modules; seed++ {
		a, b := w.compare(t, seed)
		returned, trapped = returned+a, trapped+b
	}
	t.Logf("%d modules, %d calls returned, %d trapped, all alike", modules, returned, trapped)
	if returned < int(modules) || trapped < int(modules)/10 {
		t.Errorf("%d returned, %d trapped: the generator tests too little of one kind", returned, trapped)
	}
}

// FuzzTwin searches the generator's seeds.
func FuzzTwin(f *testing.F) {
	w := newTwin(f)
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { w.compare(t, seed) })
}

// FuzzLoad: any bytes are refused with an offset inside them, or are a module
// that runs inside its bounds, whatever it does.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	for seed := uint64(0); seed < 8; seed++ {
		g := generator{r: rand.New(rand.NewPCG(seed, 1))}
		f.Add(g.module())
	}
	storage, machine := NewStorage(smallSizes), NewMachine(smallSizes)
	f.Fuzz(func(t *testing.T, data []byte) { runAnything(t, data, storage, machine) })
}

func runAnything(t *testing.T, data []byte, storage *Storage, machine *Machine) (accepted bool) {
	module, instance := new(Module), new(Instance)
	fault := Load(data, storage, module)
	if fault.Code != abi.OK {
		if int(fault.Offset) > len(data) {
			t.Fatalf("offset %d of %d bytes", fault.Offset, len(data))
		}
		return false
	}
	room := NewRoom(module, smallSizes)
	if instance.Link(module, nil, room) != abi.OK {
		return true
	}
	machine.Fuel = 20_000
	if machine.Start(instance) != abi.OK {
		return true
	}
	for _, one := range module.Exports() {
		if one.Kind == KindFunction {
			to := instance.Function(one.Index)
			machine.Fuel = 20_000
			machine.Call(to, make([]uint64, len(to.Signature.Parameters)))
		}
	}
	if instance.memory != nil && len(instance.memory.Bytes) > cap(room.Memory) {
		t.Fatalf("memory of %d bytes, the cap is %d", len(instance.memory.Bytes), cap(room.Memory))
	}
	return true
}

// TestMutatedModulesStayInside changes bytes of valid modules, which reaches
// deeper than bytes from nowhere.
func TestMutatedModulesStayInside(t *testing.T) {
	storage, machine := NewStorage(smallSizes), NewMachine(smallSizes)
	rounds, accepted := 40_000, 0
	if testing.Short() {
		rounds = 4_000
	}
	for round := 0; round < rounds; round++ {
		g := generator{r: rand.New(rand.NewPCG(uint64(round/50), 1))}
		data := g.module()
		r := rand.New(rand.NewPCG(uint64(round), 2))
		for changes := 1 + r.Uint32()%3; changes > 0; changes-- {
			data[int(r.Uint32())%len(data)] = byte(r.Uint32())
		}
		func() {
			defer func() {
				if caught := recover(); caught != nil {
					t.Fatalf("round %d panicked: %v", round, caught)
				}
			}()
			if runAnything(t, data, storage, machine) {
				accepted++
			}
		}()
	}
	t.Logf("%d of %d mutants are modules", accepted, rounds)
	if accepted == 0 || accepted == rounds {
		t.Error("the mutants test one answer only")
	}
}
