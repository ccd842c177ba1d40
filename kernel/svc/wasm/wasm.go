// Package wasm decodes, validates and runs WebAssembly 1.0 modules, with sign
// extension and saturating conversions: the language of plugins.
//
// Load reads the bytes once, checks every section, types every function body
// and writes it down as slots in register form: locals and operands of a frame
// share one numbering, so that reading a local costs nothing and a comparison
// with the branch behind it is one slot. Machine runs slots, under fuel, inside
// the memory, the stack and the call depth that its owner gave it. Nothing here
// allocates: all storage is the caller's.
//
// Floating point is computed with integers (softfloat.go). Services run with
// the FP unit switched off, so that no switch between threads has to save its
// registers; and a result is then the same, to the bit, on every host.
package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

// Bounds that no storage can raise.
const (
	PageBytes   = 65536
	PagesMax    = 65536 // of the language; a Memory's own storage is the cap at run time
	FrameSlots  = 65536 // registers an instruction can name
	LocalsMax   = 4096  // of one function, parameters included
	ModuleBytes = 1 << 24
)

// Value types as the binary format writes them.
const (
	I32 = 0x7f
	I64 = 0x7e
	F32 = 0x7d
	F64 = 0x7c

	unknown           = 0 // an operand of unreachable code: any type
	emptyBlock        = 0x40
	functionReference = 0x70
)

// Kinds of imports and exports.
const (
	KindFunction = iota
	KindTable
	KindMemory
	KindGlobal
)

// Fault says why bytes are no module, and where.
type Fault struct {
	Code   abi.Code
	Offset uint32 // into the bytes given to Load
}

// Signature of a function. Both are pieces of the module's own bytes.
type Signature struct {
	Parameters, Results []byte
}

// Equal compares by structure: the language has no named types.
func (s *Signature) Equal(o *Signature) bool {
	return sameBytes(s.Parameters, o.Parameters) && sameBytes(s.Results, o.Results)
}

// Limits of a table or memory. Without Bounded there is no Max.
type Limits struct {
	Min, Max uint32
	Bounded  bool
}

// fits reports whether something of these limits may stand where others are wanted.
func (l Limits) fits(wanted Limits) bool {
	return l.Min >= wanted.Min && (!wanted.Bounded || l.Bounded && l.Max <= wanted.Max)
}

// Import is one thing a module wants from outside.
type Import struct {
	Module, Name []byte
	Kind         byte
	Signature    uint32 // of a function
	Limits       Limits // of a table or memory
	Type         byte   // of a global
	Mutable      bool
}

// Export is one thing a module offers.
type Export struct {
	Name  []byte
	Kind  byte
	Index uint32
}

type function struct {
	signature  *Signature
	first, end uint32 // slots
	bodyOffset uint32
	bodyEnd    uint32
	slots      uint32 // registers of a frame
	parameters uint32
	locals     uint32 // parameters included
	isImported bool
}

// initial is a constant expression: bits, or the value of an imported global.
type initial struct {
	bits     uint64
	global   uint32
	isGlobal bool
}

type globalType struct {
	kind    byte
	mutable bool
	value   initial
}

type segment struct {
	at            initial
	offset, count uint32 // of bytes, or of function indices and where they begin
}

// Storage is all that Load needs; every slice is used up to its length.
type Storage struct {
	Types     []Signature
	Imports   []Import
	Functions []function
	Globals   []globalType
	Exports   []Export
	Elements  []segment
	Data      []segment
	Slots     []slot
	values    []value
	controls  []control
	locals    [LocalsMax]byte
}

// Module is what Load made. Its bytes must not change while it is in use.
type Module struct {
	bytes     []byte
	types     []Signature
	imports   []Import
	functions []function
	globals   []globalType
	exports   []Export
	elements  []segment
	data      []segment
	slots     []slot
	table     Limits
	memory    Limits
	hasTable  bool
	hasMemory bool
	hasStart  bool
	start     uint32

	importedFunctions uint32
	importedGlobals   uint32
	importedTable     bool
	importedMemory    bool
}

// Imports lists what Instance.Link wants, in order.
func (m *Module) Imports() []Import { return m.imports }

// Exports lists what the module offers.
func (m *Module) Exports() []Export { return m.exports }

// Functions counts functions, imported ones included.
func (m *Module) Functions() int { return len(m.functions) }

// Slots counts the translated instructions.
func (m *Module) Slots() int { return len(m.slots) }

// Signature of function i.
func (m *Module) Signature(i uint32) *Signature { return m.functions[i].signature }

// Find looks an export up by name.
func (m *Module) Find(name []byte) (Export, bool) {
	for i := range m.exports {
		if sameBytes(m.exports[i].Name, name) {
			return m.exports[i], true
		}
	}
	return Export{}, false
}

func sameBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
