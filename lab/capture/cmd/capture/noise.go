// Noise no packaged program makes on demand: datagrams to ports nobody serves,
// and floods at served ones.

package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/kingly-os/go-kernel/lab/capture"
)

func noise(seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 2))
	if err := junk(random); err != nil {
		return err
	}
	for _, abuser := range capture.Abusers {
		var err error
		switch abuser.Protocol {
		case capture.ProtocolUDP:
			err = floodNames(random, abuser)
		case capture.ProtocolTCP:
			err = floodConnections(abuser)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// junk sends discovery noise, probes near served ports, and random bytes.
func junk(random *rand.Rand) error {
	popular := []uint16{67, 123, 137, 138, 161, 500, 1900, 3702, 5353, 5355, 33434, 33435, 52, 54, 513, 515}
	for index := range 320 {
		port := popular[random.IntN(len(popular))]
		if index%2 == 0 {
			port = uint16(1024 + random.IntN(60000))
		}
		source := capture.Junkers[random.IntN(len(capture.Junkers))]
		payload := make([]byte, 8+random.IntN(200))
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		if err := send(source, port, 1+random.IntN(2), payload); err != nil {
			return err
		}
	}
	return nil
}

// floodNames repeats the ANY question that amplification attacks ask.
func floodNames(random *rand.Rand, abuser capture.Abuse) error {
	question := []byte("\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x04test\x00\x00\xff\x00\x01")
	for range 30 {
		question[0], question[1] = byte(random.Uint32()), byte(random.Uint32())
		if err := send(abuser.Source, abuser.Port, 4, question); err != nil {
			return err
		}
	}
	return nil
}

// floodConnections opens and resets: SYN, ACK, RST of each.
func floodConnections(abuser capture.Abuse) error {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(abuser.Source, 0)), Timeout: time.Second}
	for range 40 {
		connection, err := dialer.Dial("tcp", netip.AddrPortFrom(capture.Served, abuser.Port).String())
		if err != nil {
			return fmt.Errorf("flood from %s: %w", abuser.Source, err)
		}
		_ = connection.(*net.TCPConn).SetLinger(0) // reset instead of farewell
		_ = connection.Close()
	}
	return nil
}

func send(source netip.Addr, port uint16, times int, payload []byte) error {
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	for range times {
		if _, err := socket.WriteToUDPAddrPort(payload, netip.AddrPortFrom(capture.Served, port)); err != nil {
			return err
		}
	}
	return nil
}
