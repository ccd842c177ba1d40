// Command lab drives the kernel lab: fleets of QEMU guests, the judgement of
// programs, and the tools around them. One static binary, without cgo.
//
// Each verb is a struct in its own verb_*.go with a Run(*env) error method and
// a Help method that ends in an example; to add one, write the file and put one
// line into cli. Verbs return nil (pass) or one of the typed errors of exit.go.
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
