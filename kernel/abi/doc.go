// Package abi is the seam of data: every record and number that C, Go in the
// kernel, Go on the host and the guests share. Fixed-size Go structs are the
// source; kernel/abi/gen holds the C header made from them (`make generate`),
// with sizes and offsets asserted on both sides.
//
// Invariants: it imports nothing, allocates nothing and holds no state. All
// integers are little-endian, all structs are naturally aligned without
// implicit padding, and a number once published keeps its meaning.
package abi

//go:generate go run ./gen/cmd/abigen -abi .

// Version is the revision of everything in this package. Frames and jobs that
// carry another one are refused with ErrVersion.
const Version = 1
