// Who is who on the captured cable. One table serves the capture program (which
// gives each program its address) and the converter (which labels by rule).
//
// The table is made so that no short rule separates needed from junk:
// addresses are interleaved in one /24, the scanner is a real DNS client, each
// abuser is a real client of another service, junk datagrams come from clients
// too, and needed flows use four protocols and five ports.

package capture

import "net/netip"

// FamilyLate is a service that nobody listens for until the traffic turns: its
// packets are labelled needed in the trace, and count as needed only in
// phases whose mask says so.
const FamilyLate = 7

// Ports of the served programs. PortLate is served from PhaseTurned on.
const (
	PortDNS     = 53
	PortHTTP    = 80
	PortHTTPAlt = 8080
	PortTLS     = 443
	PortLate    = 514
)

// Served is the address all packets of a trace go to.
var Served = netip.MustParseAddr("10.77.0.1")

func host(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, last}) }

var (
	// Clients ask for what is served.
	Clients = []netip.Addr{
		host(11), host(14), host(18), host(23), host(24), host(29), host(36), host(38),
		host(42), host(51), host(57), host(63), host(66), host(74), host(79), host(83),
	}
	// Scanners send TCP to every port. The first is a DNS client as well.
	Scanners = []netip.Addr{host(12), host(61)}
	// Junkers send datagrams nobody asked for; some are clients.
	Junkers = []netip.Addr{host(15), host(23), host(37), host(51), host(72), host(79)}
)

// Abuse is a flood from one address at one service.
type Abuse struct {
	Source   netip.Addr
	Protocol uint8
	Port     uint16 // 0 = any
}

// Abusers flood one service each and use another one properly.
var Abusers = []Abuse{
	{host(13), ProtocolUDP, PortDNS},  // and an HTTP client
	{host(26), ProtocolTCP, PortHTTP}, // and a DNS client
	{host(64), ProtocolTCP, PortTLS},  // and pings
	{host(41), ProtocolICMP, 0},       // and a TLS client
}

// Politely lists what scanners and abusers do that is needed.
var (
	DNSExtra  = []netip.Addr{Scanners[0], Abusers[1].Source}
	HTTPExtra = []netip.Addr{Abusers[0].Source}
	TLSExtra  = []netip.Addr{Abusers[3].Source}
	PingExtra = []netip.Addr{Abusers[2].Source}
)

// AllHosts is every address of the client side.
func AllHosts() []netip.Addr {
	seen := map[netip.Addr]bool{}
	var all []netip.Addr
	add := func(hosts ...netip.Addr) {
		for _, one := range hosts {
			if !seen[one] {
				seen[one] = true
				all = append(all, one)
			}
		}
	}
	add(Clients...)
	add(Scanners...)
	add(Junkers...)
	for _, abuser := range Abusers {
		add(abuser.Source)
	}
	return all
}
