// Package experiment measures programs against each other: each arm of an A/B
// test boots a fresh guest that got its whole job before its first instruction,
// counts instructions in virtual time, reports once and powers off.
//
// Invariants:
//   - each arm runs Plan.Repeats times; reports that differ in one figure are a
//     finding about the harness and never averaged away;
//   - a figure is believed only if the guest attests which bytes ran: a hash
//     over the lab's nonce, the hook, the code in place and the events handled;
//   - every plan carries its own proof: an A/A control that must agree and a
//     planted regression that must be seen. Without them nothing is concluded.
//
// The guests come through Runner: lab/fleet for real ones, lab/sim for tests.
package experiment
