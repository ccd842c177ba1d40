// Command gates runs gates A to F over a kernel that was just linked and exits
// 1 with one line per violation. kernel.mk calls it from the root of the
// repository.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/kingly-os/go-kernel/kernel/rt/gates"
)

func main() {
	kernel := flag.String("kernel", "images/out/kernel.elf", "the linked kernel")
	services := flag.String("services", "images/out/kernel/services.o", "the object of the services")
	flag.Parse()
	findings, err := run(*kernel, *services)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gates:", err)
		os.Exit(1)
	}
	for _, finding := range findings {
		fmt.Fprintln(os.Stderr, finding)
	}
	if len(findings) > 0 {
		fmt.Fprintf(os.Stderr, "gates: %d violations\n", len(findings))
		os.Exit(1)
	}
}

// hostPackages are what the host must find free of allocations.
var hostPackages = []string{"./kernel/abi", "./kernel/svc/...", "./kernel/rt/entry"}

// imagePackages are what the image is made of, as far as the host compiles it.
var imagePackages = []string{"./kernel/abi", "./kernel/svc/...", "./kernel/rt/entry"}

func run(kernel, services string) ([]gates.Finding, error) {
	exports, err := gates.ExportsOf("kernel/rt/entry")
	if err != nil {
		return nil, err
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	depths, stack, err := gates.Stack(kernel, services, exports)
	if err != nil {
		return nil, err
	}
	for _, depth := range depths {
		fmt.Printf("    stack of %-20s %6d bytes of %d\n", depth.Export, depth.Bytes, gates.StackBytesMax)
	}
	var all []gates.Finding
	for _, gate := range []func() ([]gates.Finding, error){
		func() ([]gates.Finding, error) { return gates.Heap(kernel, append(exports, "go_init")) },
		func() ([]gates.Finding, error) { return gates.RuntimeState(kernel) },
		func() ([]gates.Finding, error) { return gates.FloatingPoint(services) },
		func() ([]gates.Finding, error) { return gates.Source(root, imagePackages...) },
		func() ([]gates.Finding, error) { return gates.Host(root, hostPackages, "./kernel/sim") },
		func() ([]gates.Finding, error) { return stack, nil },
	} {
		findings, err := gate()
		if err != nil {
			return nil, err
		}
		all = append(all, findings...)
	}
	return all, nil
}
