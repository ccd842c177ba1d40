package fuzz

import "encoding/binary"

// smallObject appends the least ELF object that holds one XDP program: a
// header, the code, one symbol, names, and five section headers. The fuzzer
// damages it; a compiler is not needed.
func smallObject(code, out []byte) []byte {
	const (
		headerBytes  = 64
		symbolBytes  = 24
		sectionBytes = 64
	)
	names := []byte("\x00xdp\x00.symtab\x00.strtab\x00prog\x00")
	codeAt := headerBytes
	symbolsAt := codeAt + len(code)
	namesAt := symbolsAt + 2*symbolBytes
	sectionsAt := (namesAt + len(names) + 7) &^ 7
	object := out[:sectionsAt+4*sectionBytes]
	clear(object)
	copy(object, "\x7fELF\x02\x01\x01")
	little := binary.LittleEndian
	little.PutUint16(object[16:], 1)   // relocatable
	little.PutUint16(object[18:], 247) // EM_BPF
	little.PutUint32(object[20:], 1)
	little.PutUint64(object[40:], uint64(sectionsAt))
	little.PutUint16(object[52:], headerBytes)
	little.PutUint16(object[58:], sectionBytes)
	little.PutUint16(object[60:], 4)
	little.PutUint16(object[62:], 3)
	copy(object[codeAt:], code)
	symbol := object[symbolsAt+symbolBytes:]
	little.PutUint32(symbol, 21) // "prog"
	symbol[4] = 0x12             // global function
	little.PutUint16(symbol[6:], 1)
	little.PutUint64(symbol[16:], uint64(len(code)))
	copy(object[namesAt:], names)
	section := func(index, name, kind, flags, at, bytes, link, info, entry int) {
		s := object[sectionsAt+index*sectionBytes:]
		little.PutUint32(s, uint32(name))
		little.PutUint32(s[4:], uint32(kind))
		little.PutUint64(s[8:], uint64(flags))
		little.PutUint64(s[24:], uint64(at))
		little.PutUint64(s[32:], uint64(bytes))
		little.PutUint32(s[40:], uint32(link))
		little.PutUint32(s[44:], uint32(info))
		little.PutUint64(s[48:], 8)
		little.PutUint64(s[56:], uint64(entry))
	}
	section(1, 1, 1, 6, codeAt, len(code), 0, 0, 0)
	section(2, 5, 2, 0, symbolsAt, 2*symbolBytes, 3, 1, symbolBytes)
	section(3, 13, 3, 0, namesAt, len(names), 0, 0, 0)
	return object
}
