// The default scenario: three phases over the committed capture, in which the
// right policy changes twice. The seed moves the weights, so a policy tuned to
// one seed meets another mix.

package capture

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

//go:embed testdata/services.pcap
var committed []byte

// Phases of the default scenario.
const (
	PhaseCalm   = 0 // served traffic, hardly any junk
	PhaseScan   = 1 // scan, junk datagrams and floods start
	PhaseTurned = 2 // PortLate gets its consumer: what was junk is wanted
	PhaseCount  = 3
)

// Scenario is everything a job says about traffic.
type Scenario struct {
	Seed    uint64
	Trace   []byte // abi.TraceHeader and packets
	Listens []abi.Listen
	Phases  []abi.Phase
}

// Committed is the capture in this repository, labelled.
var Committed = sync.OnceValues(func() (*Trace, error) {
	packets, err := ReadPcap(committed)
	if err != nil {
		return nil, fmt.Errorf("testdata/services.pcap: %w", err)
	}
	return Convert(packets)
})

const (
	everyPhase = 1<<PhaseCount - 1

	neededAlways = 1<<abi.FamilyDNS | 1<<abi.FamilyHTTP | 1<<abi.FamilyTLS | 1<<abi.FamilyPing
)

// weights of each family per phase, in parts of about a hundred. Junk outweighs
// service five to one as soon as the scan starts, as a scan at line rate does:
// that is what makes a policy pay for what it costs every packet.
var weights = [PhaseCount][abi.TraceFamilyMax]uint16{
	PhaseCalm: {
		abi.FamilyDNS: 34, abi.FamilyHTTP: 30, abi.FamilyTLS: 24, abi.FamilyPing: 10, abi.FamilyUDPJunk: 2,
	},
	PhaseScan: {
		abi.FamilyDNS: 5, abi.FamilyHTTP: 5, abi.FamilyTLS: 4, abi.FamilyPing: 2,
		abi.FamilyScan: 46, abi.FamilyUDPJunk: 24, abi.FamilyAbuse: 4, FamilyLate: 10,
	},
	PhaseTurned: {
		abi.FamilyDNS: 7, abi.FamilyHTTP: 6, abi.FamilyTLS: 5, abi.FamilyPing: 2,
		abi.FamilyScan: 38, abi.FamilyUDPJunk: 16, abi.FamilyAbuse: 4, FamilyLate: 22,
	},
}

// packetCounts is how long each phase lasts unless the caller changes it.
var packetCounts = [PhaseCount]uint32{2048, 8192, 8192}

// weightScale leaves room to vary small weights by less than one part.
const weightScale = 16

// DefaultScenario returns the scenario of a seed. Callers may shorten or drop
// phases of their copy.
func DefaultScenario(seed uint64) (Scenario, error) {
	trace, err := Committed()
	if err != nil {
		return Scenario{}, err
	}
	scenario := Scenario{Seed: seed, Trace: trace.Encode(), Listens: DefaultListens()}
	random := rand.New(rand.NewPCG(seed, 0x6b6c6162)) // a stream of its own: "klab"
	for phase := range PhaseCount {
		one := abi.Phase{PacketCount: packetCounts[phase], NeededMask: neededAlways}
		if phase == PhaseTurned {
			one.NeededMask |= 1 << FamilyLate
		}
		for family, weight := range weights[phase] {
			if weight > 0 { // between 3/4 and 5/4 of the table
				one.Weights[family] = weight*weightScale*3/4 + uint16(random.UintN(uint(weight*weightScale/2)+1))
			}
		}
		scenario.Phases = append(scenario.Phases, one)
	}
	return scenario, nil
}

// DefaultListens is who consumes what, and when.
func DefaultListens() []abi.Listen {
	return []abi.Listen{
		{Protocol: ProtocolUDP, Port: PortDNS, PhaseMask: everyPhase},
		{Protocol: ProtocolTCP, Port: PortHTTP, PhaseMask: everyPhase},
		{Protocol: ProtocolTCP, Port: PortHTTPAlt, PhaseMask: everyPhase},
		{Protocol: ProtocolTCP, Port: PortTLS, PhaseMask: everyPhase},
		{Protocol: ProtocolICMP, PhaseMask: everyPhase},
		{Protocol: ProtocolUDP, Port: PortLate, PhaseMask: 1 << PhaseTurned},
	}
}
