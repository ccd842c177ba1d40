package wasm

import (
	"math/rand/v2"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// TestNothingAllocates: loading, linking and running use the given storage only.
func TestNothingAllocates(t *testing.T) {
	g := generator{r: rand.New(rand.NewPCG(3, 1))}
	data, storage, machine := g.module(), NewStorage(smallSizes), NewMachine(smallSizes)
	module, instance := new(Module), new(Instance)
	if fault := Load(data, storage, module); fault.Code != abi.OK {
		t.Fatal(fault)
	}
	room := NewRoom(module, smallSizes)
	var arguments [4]uint64
	if allocations := testing.AllocsPerRun(20, func() {
		if Load(data, storage, module).Code != abi.OK || instance.Link(module, nil, room) != abi.OK {
			t.Fatal("it loaded before")
		}
		for i := uint32(0); i < generatedFunctions; i++ {
			machine.Fuel = 1 << 30
			machine.Call(instance.Function(i), arguments[:])
		}
	}); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// TestBoundsHold: a loop ends by fuel, a recursion by frames, a memory by its cap.
func TestBoundsHold(t *testing.T) {
	storage, machine := NewStorage(smallSizes), NewMachine(smallSizes)
	for name, one := range map[string]struct {
		body string
		code abi.Code
	}{
		"loop":      {"\x03\x40\x0c\x00\x0b\x41\x00", abi.ErrTrapFuel},
		"recursion": {"\x10\x00", abi.ErrTrapStack},
		"growth":    {"\x03\x40\x41\x01\x40\x00\x1a\x0c\x00\x0b\x41\x00", abi.ErrTrapFuel},
		"forgery":   {"\x41\x7f\x28\x02\x00", abi.ErrTrapMemory},
	} {
		code := section(nil, sectionCode, append([]byte{1, byte(len(one.body) + 2), 0}, one.body+"\x0b"...))
		data := append([]byte("\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00\x05\x03\x01\x00\x01"), code...)
		module, instance := new(Module), new(Instance)
		if fault := Load(data, storage, module); fault.Code != abi.OK {
			t.Fatalf("%s: %+v", name, fault)
		}
		room := NewRoom(module, smallSizes)
		if code := instance.Link(module, nil, room); code != abi.OK {
			t.Fatalf("%s: %s", name, code)
		}
		machine.Fuel = 100_000
		if _, code := machine.Call(instance.Function(0), nil); code != one.code {
			t.Errorf("%s: %s, want %s", name, code, one.code)
		}
		if len(instance.memory.Bytes) > cap(room.Memory) || machine.Fuel > 100_000 {
			t.Errorf("%s: %d bytes, fuel %d", name, len(instance.memory.Bytes), machine.Fuel)
		}
	}
}
