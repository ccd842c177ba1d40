// A module with its memory, table and globals, linked to what it imports.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

// Host is what stands behind an imported function that is no WebAssembly: in
// the kernel, a capability. It reads its arguments and returns one result, or
// the reason why the plugin is stopped.
type Host interface {
	Call(function uint32, arguments []uint64, memory *Memory) (uint64, abi.Code)
}

// Reference names a function of an instance or of a host. The zero one is null.
type Reference struct {
	Instance  *Instance
	Host      Host
	Function  uint32
	Signature *Signature
}

// Memory is linear memory: Bytes up to the present size, in storage whose
// capacity is the cap, beyond what Limits allow.
type Memory struct {
	Bytes  []byte
	Limits Limits
}

// grow adds zeroed pages and returns the old count, or -1.
func (m *Memory) grow(pages uint32) uint32 {
	old := uint32(len(m.Bytes) / PageBytes)
	wanted := uint64(old) + uint64(pages)
	if wanted > uint64(m.Limits.Max) || wanted*PageBytes > uint64(cap(m.Bytes)) {
		return 0xffffffff
	}
	m.Bytes = m.Bytes[:wanted*PageBytes]
	clear(m.Bytes[uint64(old)*PageBytes:])
	return old
}

// Table holds functions for indirect calls.
type Table struct {
	Elements []Reference
	Limits   Limits
}

// Global is one global variable; bits above a 32-bit type are zero.
type Global struct {
	Type    byte
	Mutable bool
	Bits    uint64
}

// Extern is something from outside, given for one import.
type Extern struct {
	Kind     byte
	Function Reference
	Table    *Table
	Memory   *Memory
	Global   *Global
}

// Instance is a module that can run.
type Instance struct {
	module  *Module
	imports []Reference // functions from outside
	globals []*Global
	table   *Table
	memory  *Memory
}

// Room is the storage of one instance. Memory is used up to its capacity.
type Room struct {
	Imports  []Reference
	Pointers []*Global
	Globals  []Global
	Elements []Reference
	Memory   []byte

	table  Table
	memory Memory
}

// Link makes an instance of a module: externs are given for the imports, in
// order. Nothing runs yet; Machine.Start does. On failure nothing outside has
// changed.
func (in *Instance) Link(m *Module, externs []Extern, room *Room) abi.Code {
	*in = Instance{module: m}
	if len(externs) != len(m.imports) {
		return abi.ErrWasmImport
	}
	if int(m.importedFunctions) > len(room.Imports) || len(m.globals) > len(room.Pointers) || len(m.globals) > len(room.Globals) {
		return abi.ErrNoSpace
	}
	in.imports, in.globals = room.Imports[:0], room.Pointers[:0]
	for i := range m.imports {
		if code := in.resolve(&m.imports[i], &externs[i]); code != abi.OK {
			return code
		}
	}
	for i := int(m.importedGlobals); i < len(m.globals); i++ {
		g := &m.globals[i]
		room.Globals[i] = Global{g.kind, g.mutable, in.value(g.value)}
		in.globals = room.Pointers[:i+1]
		in.globals[i] = &room.Globals[i]
	}
	if code := in.makeOwn(room); code != abi.OK {
		return code
	}
	return in.fill()
}

// resolve checks that an extern is what an import wants, and takes it.
func (in *Instance) resolve(wanted *Import, given *Extern) abi.Code {
	if wanted.Kind != given.Kind {
		return abi.ErrWasmImport
	}
	switch wanted.Kind {
	case KindFunction:
		if given.Function.Signature == nil || !given.Function.Signature.Equal(&in.module.types[wanted.Signature]) {
			return abi.ErrWasmImport
		}
		n := len(in.imports)
		in.imports = in.imports[:n+1]
		in.imports[n] = given.Function
	case KindTable:
		actual := given.Table.Limits
		actual.Min = uint32(len(given.Table.Elements))
		if !actual.fits(wanted.Limits) {
			return abi.ErrWasmImport
		}
		in.table = given.Table
	case KindMemory:
		actual := given.Memory.Limits
		actual.Min = uint32(len(given.Memory.Bytes) / PageBytes)
		if !actual.fits(wanted.Limits) {
			return abi.ErrWasmImport
		}
		in.memory = given.Memory
	case KindGlobal:
		if given.Global.Type != wanted.Type || given.Global.Mutable != wanted.Mutable {
			return abi.ErrWasmImport
		}
		n := len(in.globals)
		in.globals = in.globals[:n+1]
		in.globals[n] = given.Global
	}
	return abi.OK
}

func (in *Instance) makeOwn(room *Room) abi.Code {
	m := in.module
	if m.hasTable && !m.importedTable {
		if uint64(m.table.Min) > uint64(len(room.Elements)) {
			return abi.ErrNoSpace
		}
		room.table = Table{room.Elements[:m.table.Min], m.table}
		clear(room.table.Elements)
		in.table = &room.table
	}
	if m.hasMemory && !m.importedMemory {
		if uint64(m.memory.Min)*PageBytes > uint64(cap(room.Memory)) {
			return abi.ErrNoSpace
		}
		room.memory = Memory{room.Memory[:0], m.memory}
		room.memory.grow(m.memory.Min)
		in.memory = &room.memory
	}
	return abi.OK
}

func (in *Instance) value(v initial) uint64 {
	if v.isGlobal {
		return in.globals[v.global].Bits
	}
	return v.bits
}

// fill writes the segments, once all of them are known to fit.
func (in *Instance) fill() abi.Code {
	m := in.module
	for i := range m.elements {
		if s := &m.elements[i]; in.value(s.at)+uint64(s.count) > uint64(len(in.table.Elements)) {
			return abi.ErrWasmSegment
		}
	}
	for i := range m.data {
		if s := &m.data[i]; in.value(s.at)+uint64(s.count) > uint64(len(in.memory.Bytes)) {
			return abi.ErrWasmSegment
		}
	}
	for i := range m.elements {
		s := &m.elements[i]
		r := reader{bytes: m.bytes, at: s.offset, end: uint32(len(m.bytes))}
		at := in.value(s.at)
		for k := uint64(0); k < uint64(s.count); k++ {
			in.table.Elements[at+k] = in.Function(r.u32())
		}
	}
	for i := range m.data {
		s := &m.data[i]
		copy(in.memory.Bytes[in.value(s.at):], m.bytes[s.offset:s.offset+s.count])
	}
	return abi.OK
}

// Function names function i so that others can import or call it.
func (in *Instance) Function(i uint32) Reference {
	if i < uint32(len(in.imports)) {
		return in.imports[i]
	}
	return Reference{Instance: in, Function: i, Signature: in.module.functions[i].signature}
}

// Extern returns what an export stands for.
func (in *Instance) Extern(e Export) Extern {
	given := Extern{Kind: e.Kind}
	switch e.Kind {
	case KindFunction:
		given.Function = in.Function(e.Index)
	case KindTable:
		given.Table = in.table
	case KindMemory:
		given.Memory = in.memory
	case KindGlobal:
		given.Global = in.globals[e.Index]
	}
	return given
}

// Module of the instance.
func (in *Instance) Module() *Module { return in.module }
