// Package capture holds the traffic every experiment starts from: real packets
// of real programs, recorded on a virtual cable by cmd/capture, committed as
// pcap and turned here into the trace that the kernel's synthetic source
// replays.
//
// pcap file -> ReadPcap -> Convert (family, label, flow of each packet) ->
// Trace.Encode -> the job a guest is given before it starts.
//
// It imports kernel/abi only. Bytes from outside are refused with the offset
// at which they stopped making sense; nothing is guessed.
package capture
