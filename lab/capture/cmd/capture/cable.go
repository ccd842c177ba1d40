// The cable: two network namespaces joined by a veth pair. Both are removed
// again however the recording ends.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/kingly-os/go-kernel/lab/capture"
)

// Addresses of the cards are fixed so that two recordings differ in less.
const (
	serverCard = "02:00:00:00:00:01"
	clientCard = "02:00:00:00:00:02"
)

type cable struct {
	server, client         string // namespaces
	serverLink, clientLink string
}

func newCable() (*cable, error) {
	pid := os.Getpid()
	c := &cable{
		server: fmt.Sprintf("capture-server-%d", pid), client: fmt.Sprintf("capture-client-%d", pid),
		serverLink: fmt.Sprintf("cs%d", pid), clientLink: fmt.Sprintf("cc%d", pid),
	}
	steps := []string{
		"ip netns add " + c.server,
		"ip netns add " + c.client,
		"ip link add " + c.serverLink + " type veth peer name " + c.clientLink,
		"ip link set " + c.serverLink + " netns " + c.server + " address " + serverCard,
		"ip link set " + c.clientLink + " netns " + c.client + " address " + clientCard,
		"ip -n " + c.server + " addr add " + capture.Served.String() + "/24 dev " + c.serverLink,
	}
	for _, address := range capture.AllHosts() {
		steps = append(steps, "ip -n "+c.client+" addr add "+address.String()+"/24 dev "+c.clientLink)
	}
	for _, end := range [][2]string{{c.server, c.serverLink}, {c.client, c.clientLink}} {
		steps = append(steps,
			"ip -n "+end[0]+" link set lo up",
			// One packet on the wire per segment: no 64 KiB frames.
			"ip -n "+end[0]+" link set "+end[1]+" gso_max_segs 1",
			"ip -n "+end[0]+" link set "+end[1]+" up",
		)
	}
	for _, step := range steps {
		if err := run(strings.Fields(step)...); err != nil {
			c.remove()
			return nil, err
		}
	}
	return c, nil
}

// remove deletes the namespaces; the pair of cards goes with them.
func (c *cable) remove() {
	for _, namespace := range []string{c.client, c.server} {
		_ = run("ip", "netns", "delete", namespace) // may not exist yet
	}
}

// inside builds a command that runs in a namespace.
func inside(namespace string, arguments ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", namespace}, arguments...)...)
}

func run(arguments ...string) error {
	output, err := exec.Command(arguments[0], arguments[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
