package propose

import (
	"strings"
	"testing"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/bpf"
	"github.com/kingly-os/go-kernel/kernel/svc/telemetry"
)

func served(ports ...uint16) *telemetry.Snapshot {
	s := &telemetry.Snapshot{PortsComplete: true}
	for i, port := range ports {
		s.Ports[i] = telemetry.Port{Protocol: 6, Number: port, Wanted: 10}
		s.PortCount++
	}
	return s
}

func print(t *testing.T, p *Policy, s *telemetry.Snapshot) string {
	t.Helper()
	text := make([]byte, abi.ProgramTextBytesMax)
	n := Print(p, s, text)
	if n == 0 {
		t.Fatal("no text")
	}
	out := make([]bpf.Instruction, abi.ProgramInstructionsMax)
	if _, place, code := bpf.Assemble(text[:n], out); code != abi.OK {
		t.Fatalf("%d:%d: %v\n%s", place.Line, place.Column, code, text[:n])
	}
	return string(text[:n])
}

func TestPrint(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(p *Policy)
		want []string
	}{
		{"port", func(p *Policy) {
			r := p.Add()
			r.Test(TestDestinationPort, 5353, false)
			r.Test(TestProtocol, 17, false)
		}, []string{"if r5 != 59668 goto rule1", "if r5 == 17 goto check"}},
		{"high source compares 32 bits, signed", func(p *Policy) { p.Add().Test(TestSource, 0x010203c8, false) },
			[]string{"if w5 == -939326975 goto check"}},
		{"network of 24 bits", func(p *Policy) { p.Add().Test(TestSourceNet, 0x0a4d00, false) },
			[]string{"r5 &= 16777215", "if r5 == 19722 goto check"}},
		{"not served", func(p *Policy) {
			r := p.Add()
			r.Test(TestProtocol, 6, false)
			r.Test(TestServed, 0, true)
		}, []string{"if r5 != 6 goto rule1", "if r8 == 20480 goto rule1", "if r8 == 47873 goto rule1", "goto check"}},
		{"served passes", func(p *Policy) {
			r := p.Add()
			r.Pass = true
			r.Test(TestServed, 0, false)
			p.Add().Test(TestProtocol, 17, false)
		}, []string{"if r8 == 20480 goto pass", "if r5 == 17 goto check"}},
		{"longer than 128", func(p *Policy) { p.Add().Test(TestAttribute, uint32(telemetry.AttributeLong128), false) },
			[]string{"r4 += 129", "if r4 <= r3 goto check"}},
		{"seen at most 16 times", func(p *Policy) { p.Add().Test(TestAttribute, uint32(telemetry.AttributeSeen16), true) },
			[]string{"r5 = *(u32 *)(r1 + 24)", "if r5 <= 16 goto check"}},
		{"SYN alone", func(p *Policy) {
			r := p.Add()
			r.Test(TestProtocol, 6, false)
			r.Test(TestTCPFlags, 2, false)
		}, []string{"r4 += 54", "r5 &= 23", "if r5 == 2 goto check"}},
	} {
		var p Policy
		c.make(&p)
		text := print(t, &p, served(80, 443))
		at := 0
		for _, line := range c.want {
			i := strings.Index(text[at:], line)
			if i < 0 {
				t.Errorf("%s: %q is missing or out of order in\n%s", c.name, line, text)
				break
			}
			at += i
		}
	}
}

// A policy is fixed in size: what does not fit is refused, not forgotten.
func TestPolicyIsBounded(t *testing.T) {
	var p Policy
	for i := 0; i < RulesMax; i++ {
		r := p.Add()
		for j := 0; j < TestsMax; j++ {
			if !r.Test(TestSource, uint32(i*j)|0x80000000, false) {
				t.Fatal("refused too early")
			}
		}
		if r.Test(TestSource, 1, false) {
			t.Fatal("a test too many")
		}
	}
	if p.Add() != nil {
		t.Fatal("a rule too many")
	}
	print(t, &p, served()) // the largest policy still prints and assembles
}

func TestEmptyRuleMatchesNothing(t *testing.T) {
	var p Policy
	p.Add()
	if p.Drops() {
		t.Error("an empty conjunction drops everything")
	}
}

func TestNoAllocations(t *testing.T) {
	var p Policy
	r := p.Add()
	r.Test(TestSource, 0x0a000001, false)
	r.Test(TestServed, 0, true)
	s, text := served(80, 443), make([]byte, abi.ProgramTextBytesMax)
	if n := testing.AllocsPerRun(10, func() { Print(&p, s, text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
