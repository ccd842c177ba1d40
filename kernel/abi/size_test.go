package abi

import (
	"testing"
	"unsafe"
)

// The numbers are what C asserts too (kernel/abi/gen): a change here is a
// change of the format and needs a new Version.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"NetRXContext", unsafe.Sizeof(NetRXContext{}), NetRXContextBytes},
		{"NetRXEvent", unsafe.Sizeof(NetRXEvent{}), 128},
		{"RingHeader", unsafe.Sizeof(RingHeader{}), 128},
		{"Record", unsafe.Sizeof(Record{}), 128},
		{"FrameHeader", unsafe.Sizeof(FrameHeader{}), FrameHeaderBytes},
		{"Hello", unsafe.Sizeof(Hello{}), 144},
		{"InstallRequest", unsafe.Sizeof(InstallRequest{}), 48},
		{"InstallReply", unsafe.Sizeof(InstallReply{}), 80},
		{"JobHeader", unsafe.Sizeof(JobHeader{}), JobHeaderBytes},
		{"Phase", unsafe.Sizeof(Phase{}), 40},
		{"TracePacket", unsafe.Sizeof(TracePacket{}), 8},
		{"Report", unsafe.Sizeof(Report{}), 216},
		{"Stats", unsafe.Sizeof(Stats{}), 208},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, c.got, c.want)
		}
	}
}
