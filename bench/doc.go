// Package bench measures our kernel beside Linux: the same bytecode, the same
// packets, instructions per operation under the instruction count, each figure
// twice.
//
// Invariants: what both kernels spend on doing nothing is measured by each
// itself and subtracted on each side; a figure that differs between its two
// runs is named in Repeat and decides nothing; a target that could not be
// measured is a row with a problem, never a missing row.
package bench
