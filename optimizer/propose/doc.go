// Package propose makes candidates: it mutates seed filters, seeded, in a
// structured form that always prints as a program of the policy language.
//
// What it knows is what the kernel's own telemetry knows: packets of a training
// window and whether a consumer wanted each. It sees neither the label nor the
// seed of the traffic that will judge. Its rehearsal orders candidates; it
// vouches for none.
package propose
