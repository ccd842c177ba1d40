// Package sim is a fleet without QEMU, for tests of everything above lab/fleet:
// it takes the same job blobs, replays the same kind of traffic, runs the
// program with an executor it is given and counts what happened. Only the
// costs are a model. Deterministic: the same job gives the same report.
//
// Its Source also draws the training windows of the optimizer: traffic of the
// same make as the kernel's source offers, from seeds that judge nothing.
//
// It can also misbehave on purpose (Faults), because the harness must be seen
// to notice.
package sim
