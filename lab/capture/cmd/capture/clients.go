// The asking end: real programs, each from the addresses of its role.

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kingly-os/go-kernel/lab/capture"
)

// record runs the whole recording and says what it got.
func record(out string, seed uint64) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, for namespaces and the packet socket")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	wire, err := newCable()
	if err != nil {
		return err
	}
	defer wire.remove()
	server := inside(wire.server, self, "-role", "serve", "-out", out)
	server.Stderr = os.Stderr
	stop, err := server.StdinPipe()
	if err != nil {
		return err
	}
	lines, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	if line, _ := bufio.NewReader(lines).ReadString('\n'); strings.TrimSpace(line) != ready {
		_ = stop.Close()
		return errors.Join(errors.New("the serving end did not start"), server.Wait())
	}
	trafficErr := wire.traffic(self, seed)
	_ = stop.Close()
	if err := errors.Join(trafficErr, server.Wait()); err != nil {
		return err
	}
	return report(out)
}

// report reads the file back the way everybody else will.
func report(out string) error {
	data, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	packets, err := capture.ReadPcap(data)
	if err != nil {
		return err
	}
	trace, err := capture.Convert(packets)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, %d packets, %d flows, %d skipped\n", out, len(data), len(trace.Packets), trace.Flows, trace.Skipped)
	return nil
}

// traffic lets the programs run one after the other; the source interleaves
// flows again when it replays them.
func (c *cable) traffic(self string, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1))
	for _, step := range []func(*rand.Rand) error{c.names, c.web, c.secure, c.echo, c.scan, c.late} {
		if err := step(random); err != nil {
			return err
		}
	}
	return c.command("", self, "-role", "noise", "-seed", fmt.Sprint(seed))
}

// names asks DNS: one dig per client, several questions each.
func (c *cable) names(random *rand.Rand) error {
	kinds := []string{"A", "AAAA", "MX", "TXT", "SRV", "NS"}
	for _, client := range slices.Concat(capture.Clients, capture.DNSExtra) {
		var questions strings.Builder
		for range 8 + random.IntN(8) {
			fmt.Fprintf(&questions, "host%d.example.test %s\n", random.IntN(1000), kinds[random.IntN(len(kinds))])
		}
		if err := c.command(questions.String(), "dig", "@"+capture.Served.String(), "-b", client.String(),
			"+tries=1", "+time=2", "-f", "/dev/stdin"); err != nil {
			return err
		}
	}
	return nil
}

// web fetches pages and posts forms over both HTTP ports.
func (c *cable) web(random *rand.Rand) error {
	for _, client := range slices.Concat(capture.Clients, capture.HTTPExtra) {
		for _, port := range []int{capture.PortHTTP, capture.PortHTTPAlt} {
			address := fmt.Sprintf("http://%s:%d/page%d?bytes=%d", capture.Served, port, random.IntN(100), 200+random.IntN(8000))
			arguments := []string{"curl", "-sS", "-o", "/dev/null", "--interface", client.String(), address}
			if random.IntN(2) == 0 {
				arguments = append(arguments, "--data-binary", strings.Repeat("field=value&", 10+random.IntN(200)))
			}
			if err := c.command("", arguments...); err != nil {
				return err
			}
		}
	}
	return nil
}

// secure uses two TLS clients that greet differently.
func (c *cable) secure(random *rand.Rand) error {
	for index, client := range slices.Concat(capture.Clients, capture.TLSExtra) {
		if index%4 == 3 {
			if err := c.command("Q\n", "openssl", "s_client", "-connect", fmt.Sprintf("%s:%d", capture.Served, capture.PortTLS),
				"-bind", client.String()+":0", "-servername", "example.test"); err != nil {
				return err
			}
			continue
		}
		address := fmt.Sprintf("https://%s/secret%d?bytes=%d", capture.Served, random.IntN(100), 200+random.IntN(8000))
		if err := c.command("", "curl", "-sSk", "-o", "/dev/null", "--interface", client.String(), address,
			"--data-binary", strings.Repeat("s", random.IntN(2000))); err != nil {
			return err
		}
	}
	return nil
}

// echo pings politely from clients and floods from the abuser.
func (c *cable) echo(random *rand.Rand) error {
	ping := func(source netip.Addr, count int, gap string) error {
		return c.command("", "ping", "-q", "-n", "-I", source.String(), "-c", fmt.Sprint(count), "-i", gap,
			"-s", fmt.Sprint(32+random.IntN(400)), capture.Served.String())
	}
	for _, client := range slices.Concat(capture.Clients[:10], capture.PingExtra) {
		if err := ping(client, 3+random.IntN(4), "0.02"); err != nil {
			return err
		}
	}
	for _, abuser := range capture.Abusers {
		if abuser.Protocol == capture.ProtocolICMP {
			return ping(abuser.Source, 80, "0.001")
		}
	}
	return errors.New("no abuser floods by ping")
}

// scan probes ports the way nmap does, served ones among them.
func (c *cable) scan(*rand.Rand) error {
	for index, scanner := range capture.Scanners {
		ports := []string{"20-400,443,500-560,8080", "1-120,443,1000-1200,3306,5432,8000-8100"}[index]
		if err := c.command("", "nmap", "-n", "-Pn", "-sS", "-T5", "--max-retries", "0", "-p", ports,
			"-S", scanner.String(), "-e", c.clientLink, capture.Served.String()); err != nil {
			return err
		}
	}
	return nil
}

// late sends syslog datagrams; logger takes its address from the route.
func (c *cable) late(random *rand.Rand) error {
	for _, client := range capture.Clients[4:10] {
		if err := run("ip", "-n", c.client, "route", "replace", capture.Served.String()+"/32", "dev", c.clientLink,
			"src", client.String()); err != nil {
			return err
		}
		var lines strings.Builder
		for range 10 + random.IntN(10) {
			fmt.Fprintf(&lines, "sensor %d reads %d after %d ms\n", random.IntN(8), random.IntN(4096), random.IntN(1000))
		}
		if err := c.command(lines.String(), "logger", "-n", capture.Served.String(), "-P", fmt.Sprint(capture.PortLate),
			"-d", "-t", "sensor"); err != nil {
			return err
		}
	}
	return run("ip", "-n", c.client, "route", "delete", capture.Served.String()+"/32")
}

func (c *cable) command(input string, arguments ...string) error {
	process := inside(c.client, arguments...)
	process.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	process.Stdout, process.Stderr = io.Discard, &stderr
	if err := process.Run(); err != nil {
		var exit *exec.ExitError
		// dig exits 9 or 10 when a name has no answer; the question is what we record.
		if arguments[0] == "dig" && errors.As(err, &exit) && exit.ExitCode() >= 9 {
			return nil
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(arguments[:min(len(arguments), 6)], " "), err, stderr.String())
	}
	return nil
}
