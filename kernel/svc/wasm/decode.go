// The sections of a module, in their order.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionCount
)

type decoder struct {
	reader
	m      *Module
	s      *Storage
	bodies uint32 // entries of the code section
}

// Load turns bytes into a module, or says where and why they are none. The
// module lives in the storage, and in the bytes.
func Load(bytes []byte, s *Storage, m *Module) Fault {
	*m = Module{}
	if len(bytes) > ModuleBytes {
		return Fault{abi.ErrTooLarge, 0}
	}
	m.bytes = bytes
	d := decoder{reader: reader{bytes: bytes, end: uint32(len(bytes))}, m: m, s: s}
	d.preamble()
	last := byte(0)
	for !d.failed() && d.at < d.end {
		start := d.at
		id := d.byte()
		size := d.u32()
		if d.failed() {
			break
		}
		if size > d.end-d.at {
			d.fail(abi.ErrTruncated)
			break
		}
		if id >= sectionCount || id != sectionCustom && id <= last {
			d.failAt(abi.ErrWasmSection, start)
			break
		}
		if id != sectionCustom {
			last = id
		}
		whole := d.end
		d.end = d.at + size
		d.section(id)
		if !d.failed() && d.at != d.end {
			d.fail(abi.ErrWasmSection)
		}
		d.end = whole
	}
	if d.failed() {
		*m = Module{}
		return d.fault
	}
	if d.bodies != uint32(len(m.functions))-m.importedFunctions {
		*m = Module{}
		return Fault{abi.ErrWasmSection, d.end}
	}
	if fault := d.translateAll(); fault.Code != abi.OK {
		*m = Module{}
		return fault
	}
	return Fault{}
}

func (d *decoder) preamble() {
	if d.fixed(4) != 0x6d736100 && !d.failed() {
		d.failAt(abi.ErrMagic, 0)
	}
	if d.fixed(4) != 1 && !d.failed() {
		d.failAt(abi.ErrVersion, 4)
	}
}

func (d *decoder) section(id byte) {
	if id == sectionCustom {
		d.name()
		d.at = d.end
		return
	}
	if id == sectionStart {
		d.startSection()
		return
	}
	count := d.u32()
	for i := uint32(0); i < count && !d.failed(); i++ {
		switch id {
		case sectionType:
			d.typeEntry()
		case sectionImport:
			d.importEntry()
		case sectionFunction:
			d.addFunction(d.u32(), false)
		case sectionTable:
			d.tableType()
		case sectionMemory:
			d.memoryType()
		case sectionGlobal:
			d.globalEntry()
		case sectionExport:
			d.exportEntry()
		case sectionElement:
			d.elementEntry()
		case sectionCode:
			d.bodyEntry()
		case sectionData:
			d.dataEntry()
		}
	}
}

func isValueType(kind byte) bool { return kind >= F64 && kind <= I32 }

func (d *decoder) valueTypes() []byte {
	at := d.at
	kinds := d.take(d.u32())
	for _, kind := range kinds {
		if !isValueType(kind) {
			d.failAt(abi.ErrBadValue, at)
		}
	}
	return kinds
}

func (d *decoder) typeEntry() {
	if d.byte() != 0x60 {
		d.failAt(abi.ErrBadValue, d.at-1)
	}
	signature := Signature{Parameters: d.valueTypes(), Results: d.valueTypes()}
	if len(signature.Results) > 1 {
		d.fail(abi.ErrUnsupported)
	}
	if n := len(d.m.types); n < len(d.s.Types) && len(signature.Parameters) <= LocalsMax {
		d.s.Types[n] = signature
		d.m.types = d.s.Types[:n+1]
		return
	}
	d.fail(abi.ErrTooLarge)
}

func (d *decoder) limits(max uint32) (l Limits) {
	at := d.at
	switch d.byte() {
	case 0:
	case 1:
		l.Bounded = true
	default:
		d.failAt(abi.ErrBadValue, at)
	}
	l.Min, l.Max = d.u32(), max
	if l.Bounded {
		l.Max = d.u32()
	}
	if l.Min > max || l.Max > max || l.Min > l.Max {
		d.failAt(abi.ErrWasmLimits, at)
	}
	return l
}

func (d *decoder) tableType() {
	if d.byte() != functionReference {
		d.failAt(abi.ErrBadValue, d.at-1)
	}
	if d.m.hasTable {
		d.fail(abi.ErrWasmLimits)
	}
	d.m.table, d.m.hasTable = d.limits(0xffffffff), true
}

func (d *decoder) memoryType() {
	if d.m.hasMemory {
		d.fail(abi.ErrWasmLimits)
	}
	d.m.memory, d.m.hasMemory = d.limits(PagesMax), true
}

func (d *decoder) globalType() (kind byte, mutable bool) {
	kind = d.byte()
	if !isValueType(kind) {
		d.failAt(abi.ErrBadValue, d.at-1)
	}
	flag := d.byte()
	if flag > 1 {
		d.failAt(abi.ErrBadValue, d.at-1)
	}
	return kind, flag == 1
}

func (d *decoder) importEntry() {
	one := Import{Module: d.name(), Name: d.name(), Kind: d.byte()}
	m := d.m
	switch one.Kind {
	case KindFunction:
		one.Signature = d.u32()
		d.addFunction(one.Signature, true)
		m.importedFunctions++
	case KindTable:
		d.tableType()
		one.Limits, m.importedTable = m.table, true
	case KindMemory:
		d.memoryType()
		one.Limits, m.importedMemory = m.memory, true
	case KindGlobal:
		one.Type, one.Mutable = d.globalType()
		d.addGlobal(globalType{kind: one.Type, mutable: one.Mutable})
		m.importedGlobals++
	default:
		d.failAt(abi.ErrBadValue, d.at-1)
	}
	if n := len(m.imports); n < len(d.s.Imports) {
		d.s.Imports[n] = one
		m.imports = d.s.Imports[:n+1]
		return
	}
	d.fail(abi.ErrTooLarge)
}

func (d *decoder) addFunction(signature uint32, isImported bool) {
	n := len(d.m.functions)
	switch {
	case d.failed():
	case signature >= uint32(len(d.m.types)):
		d.fail(abi.ErrWasmIndex)
	case n >= len(d.s.Functions):
		d.fail(abi.ErrTooLarge)
	default:
		kind := &d.m.types[signature]
		d.s.Functions[n] = function{signature: kind, parameters: uint32(len(kind.Parameters)), isImported: isImported}
		d.m.functions = d.s.Functions[:n+1]
	}
}

func (d *decoder) addGlobal(g globalType) {
	n := len(d.m.globals)
	if n >= len(d.s.Globals) {
		d.fail(abi.ErrTooLarge)
	}
	if d.failed() {
		return
	}
	d.s.Globals[n] = g
	d.m.globals = d.s.Globals[:n+1]
}

func (d *decoder) globalEntry() {
	g := globalType{}
	g.kind, g.mutable = d.globalType()
	g.value = d.constant(g.kind)
	d.addGlobal(g)
}

// constant reads an initialiser: one constant, or one immutable imported global.
func (d *decoder) constant(wanted byte) (value initial) {
	at := d.at
	kind := byte(0)
	switch opcode := d.byte(); opcode {
	case opI32Const:
		kind, value.bits = I32, uint64(uint32(d.signed(32)))
	case opI64Const:
		kind, value.bits = I64, uint64(d.signed(64))
	case opF32Const:
		kind, value.bits = F32, d.fixed(4)
	case opF64Const:
		kind, value.bits = F64, d.fixed(8)
	case opGlobalGet:
		value.global, value.isGlobal = d.u32(), true
		if value.global >= d.m.importedGlobals {
			d.failAt(abi.ErrWasmIndex, at)
			return
		}
		if d.m.globals[value.global].mutable {
			d.failAt(abi.ErrWasmConstant, at)
		}
		kind = d.m.globals[value.global].kind
	case opEnd:
		d.failAt(abi.ErrWasmType, at)
	default:
		d.failAt(abi.ErrWasmConstant, at)
	}
	if kind != wanted {
		d.failAt(abi.ErrWasmType, at)
	}
	if d.byte() != opEnd {
		d.failAt(abi.ErrWasmConstant, d.at-1)
	}
	return value
}

func (d *decoder) exportEntry() {
	at := d.at
	one := Export{Name: d.name(), Kind: d.byte(), Index: d.u32()}
	count := 0
	switch one.Kind {
	case KindFunction:
		count = len(d.m.functions)
	case KindTable:
		count = oneIf(d.m.hasTable)
	case KindMemory:
		count = oneIf(d.m.hasMemory)
	case KindGlobal:
		count = len(d.m.globals)
	default:
		d.failAt(abi.ErrBadValue, at)
	}
	if one.Index >= uint32(count) {
		d.failAt(abi.ErrWasmIndex, at)
	}
	if _, taken := d.m.Find(one.Name); taken {
		d.failAt(abi.ErrWasmExport, at)
	}
	n := len(d.m.exports)
	if n >= len(d.s.Exports) {
		d.fail(abi.ErrTooLarge)
		return
	}
	d.s.Exports[n] = one
	d.m.exports = d.s.Exports[:n+1]
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (d *decoder) startSection() {
	at := d.at
	d.m.start, d.m.hasStart = d.u32(), true
	if d.m.start >= uint32(len(d.m.functions)) {
		d.failAt(abi.ErrWasmIndex, at)
		return
	}
	kind := d.m.functions[d.m.start].signature
	if len(kind.Parameters) != 0 || len(kind.Results) != 0 {
		d.failAt(abi.ErrWasmType, at)
	}
}

func (d *decoder) elementEntry() {
	at := d.at
	if d.u32() != 0 || !d.m.hasTable {
		d.failAt(abi.ErrWasmIndex, at)
	}
	one := segment{at: d.constant(I32), count: d.u32()}
	one.offset = d.at
	for i := uint32(0); i < one.count && !d.failed(); i++ {
		if index := d.u32(); index >= uint32(len(d.m.functions)) {
			d.failAt(abi.ErrWasmIndex, at)
		}
	}
	n := len(d.m.elements)
	if n >= len(d.s.Elements) {
		d.fail(abi.ErrTooLarge)
		return
	}
	d.s.Elements[n] = one
	d.m.elements = d.s.Elements[:n+1]
}

func (d *decoder) dataEntry() {
	at := d.at
	if d.u32() != 0 || !d.m.hasMemory {
		d.failAt(abi.ErrWasmIndex, at)
	}
	one := segment{at: d.constant(I32), count: d.u32()}
	one.offset = d.at
	d.take(one.count)
	n := len(d.m.data)
	if n >= len(d.s.Data) {
		d.fail(abi.ErrTooLarge)
		return
	}
	d.s.Data[n] = one
	d.m.data = d.s.Data[:n+1]
}

// bodyEntry only measures: bodies are typed when every section is known.
func (d *decoder) bodyEntry() {
	size := d.u32()
	index := d.m.importedFunctions + d.bodies
	if index >= uint32(len(d.m.functions)) {
		d.fail(abi.ErrWasmSection)
	}
	first := d.at
	d.take(size)
	if d.failed() {
		return
	}
	d.m.functions[index].bodyOffset, d.m.functions[index].bodyEnd = first, d.at
	d.bodies++
}
