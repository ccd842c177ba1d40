package guest

import "fmt"

// AppendCPIOFile appends to an initramfs a second archive ("newc", see the
// kernel's Documentation/driver-api/early-userspace/buffer-format.rst) that
// holds one file. Linux unpacks concatenated archives in order.
func AppendCPIOFile(archive []byte, name string, mode uint32, content []byte) []byte {
	const regularFile = 0o100000
	out := padded(append([]byte(nil), archive...))
	out = cpioEntry(out, 1, regularFile|mode, name, content)
	return padded(cpioEntry(out, 0, 0, "TRAILER!!!", nil))
}

// cpioEntry appends a header of 13 eight-digit fields after the magic, the
// name, and the content, each padded to 4 bytes from the start of the archive.
func cpioEntry(out []byte, inode, mode uint32, name string, content []byte) []byte {
	const magic, links = "070701", 1
	fields := []uint32{inode, mode, 0, 0, links, 0, uint32(len(content)), 0, 0, 0, 0, uint32(len(name) + 1), 0}
	out = append(out, magic...)
	for _, field := range fields {
		out = fmt.Appendf(out, "%08x", field)
	}
	out = append(out, name...)
	out = padded(append(out, 0))
	return padded(append(out, content...))
}

func padded(out []byte) []byte {
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}
