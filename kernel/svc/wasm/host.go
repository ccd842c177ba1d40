//go:build !tinygo

// Storage from the heap of a host. The kernel has its own, static.

package wasm

// Sizes of storage for one module and one machine.
type Sizes struct {
	Entries   int // types, imports, functions, globals, exports, segments: each
	Slots     int
	Values    int // operands of one function
	Blocks    int // open at once
	Elements  int // of a table
	Pages     int // of memory
	Frames    int
	Registers int // beyond FrameSlots
}

// HostSizes is generous.
var HostSizes = Sizes{Entries: 8192, Slots: 1 << 20, Values: 16384, Blocks: 4096, Elements: 1 << 16, Pages: 1024, Frames: 4096, Registers: 1 << 18}

// NewStorage makes room to load one module.
func NewStorage(n Sizes) *Storage {
	return &Storage{
		Types: make([]Signature, n.Entries), Imports: make([]Import, n.Entries), Functions: make([]function, n.Entries),
		Globals: make([]globalType, n.Entries), Exports: make([]Export, n.Entries), Elements: make([]segment, n.Entries),
		Data: make([]segment, n.Entries), Slots: make([]slot, n.Slots), values: make([]value, n.Values), controls: make([]control, n.Blocks),
	}
}

// NewRoom makes room for one instance of a module.
func NewRoom(m *Module, n Sizes) *Room {
	room := &Room{Imports: make([]Reference, m.importedFunctions), Pointers: make([]*Global, len(m.globals)), Globals: make([]Global, len(m.globals))}
	if m.hasTable {
		room.Elements = make([]Reference, min(n.Elements, int(m.table.Min)))
	}
	if m.hasMemory {
		room.Memory = make([]byte, 0, PageBytes*min(n.Pages, int(m.memory.Max)))
	}
	return room
}

// NewMachine makes a machine.
func NewMachine(n Sizes) *Machine {
	m := &Machine{}
	m.Use(make([]uint64, FrameSlots+max(n.Registers, FrameSlots/64)), make([]Frame, n.Frames))
	return m
}
