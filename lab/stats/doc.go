// Package stats compares figures. Figures counted in instructions under
// -icount are exact: they are compared as fractions, without tolerance, and two
// runs that differ are a finding, not noise.
//
// Invariant: no function of this package rounds before it compares.
package stats
