// Command capture records lab/capture/testdata/services.pcap: it stretches a
// virtual cable between two network namespaces, serves DNS, HTTP and TLS on one
// end and lets real programs (dig, curl, openssl, ping, logger, nmap) and a
// noise maker talk to it from the other. Run it as root by `make capture`; the
// committed file is what tests use.
//
// It calls itself for the two roles that live inside a namespace:
// `capture -role serve` and `capture -role noise`.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	role := flag.String("role", "", "inner role: serve or noise (set by the program itself)")
	out := flag.String("out", "lab/capture/testdata/services.pcap", "file to write")
	seed := flag.Uint64("seed", 1, "seed of names, sizes, ports and payloads")
	flag.Parse()
	var err error
	switch *role {
	case "":
		err = record(*out, *seed)
	case "serve":
		err = serve(*out)
	case "noise":
		err = noise(*seed)
	default:
		err = fmt.Errorf("unknown role %q", *role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}
