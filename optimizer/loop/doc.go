// Package loop is the optimizer's campaign, from proposal to the running fleet.
//
//	propose -> analyze -> verify -> experiment -> stats -> promote -> ledger -> fleet
//
// Read loop.go; each step is one call there. The verifier is the one the kernel
// ships: what the host trusts is what the kernel will trust.
//
// Invariants: the hash of the workload's seed is in the ledger before the first
// candidate is made; the proposer sees traffic of other seeds only; everything
// decided is in the ledger before it is acted upon; a seed decides everything
// but the nonces.
package loop
