// The serving end: HTTP on two ports, TLS with a certificate made on the spot,
// DNS by dnsmasq, and the recorder. It runs until its standard input closes.

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kingly-os/go-kernel/lab/capture"
)

// ready is the line the parent waits for.
const ready = "serving"

func serve(out string) error {
	recorder, err := openRecorder()
	if err != nil {
		return err
	}
	dns := exec.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
		"--user=root", "--pid-file=", "--bind-interfaces", "--listen-address="+capture.Served.String(),
		"--address=/example.test/"+capture.Served.String())
	dns.Stderr = os.Stderr
	if err := dns.Start(); err != nil {
		return fmt.Errorf("dnsmasq: %w", err)
	}
	defer func() { _ = dns.Process.Kill(); _ = dns.Wait() }()
	if err := serveWeb(); err != nil {
		return err
	}
	if err := waitForDNS(); err != nil {
		return err
	}
	fmt.Println(ready)
	_, _ = io.Copy(io.Discard, os.Stdin) // the parent closes it when the traffic is over
	packets, err := recorder.stop()
	if err != nil {
		return err
	}
	return os.WriteFile(out, capture.WritePcap(packets), 0o644)
}

func serveWeb() error {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		size, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
		_, _ = w.Write(make([]byte, min(max(size, 16), 1<<16)))
	})
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	for _, port := range []int{capture.PortHTTP, capture.PortHTTPAlt, capture.PortTLS} {
		listener, err := net.Listen("tcp", net.JoinHostPort(capture.Served.String(), strconv.Itoa(port)))
		if err != nil {
			return err
		}
		if port == capture.PortTLS {
			listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		server := &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}
		server.ErrorLog = log.New(io.Discard, "", 0) // the flood's resets are wanted
		go func() { _ = server.Serve(listener) }()
	}
	return nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.test"},
		DNSNames: []string{"example.test"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// waitForDNS returns once dnsmasq owns its port: binding it fails then.
func waitForDNS() error {
	for range 100 {
		socket, err := net.ListenPacket("udp", net.JoinHostPort(capture.Served.String(), strconv.Itoa(capture.PortDNS)))
		if err != nil {
			return nil //nolint:nilerr // taken: that is what we wait for
		}
		_ = socket.Close()
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("dnsmasq did not start within 2 s")
}

// recorder collects what arrives at the serving end.
type recorder struct {
	socket int
	done   chan error
	halt   chan struct{}
	start  time.Time
	kept   []capture.Packet
}

func openRecorder() (*recorder, error) {
	const allProtocols = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network order
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, allProtocols)
	if err != nil {
		return nil, fmt.Errorf("packet socket (root is needed): %w", err)
	}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		return nil, err
	}
	timeout := unix.Timeval{Usec: 100_000}
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	r := &recorder{socket: socket, done: make(chan error, 1), halt: make(chan struct{}), start: time.Now()}
	go func() { r.done <- r.loop() }()
	return r, nil
}

func (r *recorder) stop() ([]capture.Packet, error) {
	close(r.halt)
	err := <-r.done
	_ = unix.Close(r.socket)
	return r.kept, err
}

func (r *recorder) loop() error {
	buffer := make([]byte, 1<<16)
	for {
		count, from, err := unix.Recvfrom(r.socket, buffer, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			select {
			case <-r.halt:
				return nil
			default:
				continue
			}
		}
		if err != nil {
			return err
		}
		link, isLink := from.(*unix.SockaddrLinklayer)
		if !isLink || link.Pkttype != unix.PACKET_HOST {
			continue // sent by us, or not for this card
		}
		frame := append([]byte(nil), buffer[:count]...)
		header, err := capture.ParseHeader(frame)
		if err != nil || header.Destination != capture.Served || header.Source == capture.Served {
			continue // ARP, IPv6 discovery, the server's own loopback
		}
		if len(frame) > 1514 {
			return fmt.Errorf("a frame of %d bytes: segmentation was left to the card", len(frame))
		}
		if err := capture.Complete(frame); err != nil {
			return err
		}
		r.kept = append(r.kept, capture.Packet{TimeNS: uint64(time.Since(r.start)), Bytes: frame})
	}
}
