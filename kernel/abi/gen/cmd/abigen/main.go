// Command abigen makes both faces of kernel/abi from its Go structs:
// kernel/abi/gen/abi.h, which C includes, and kernel/abi/codec_generated.go,
// which holds Put, Get and String. Run it from the root of the repository:
//
//	go run ./kernel/abi/gen/cmd/abigen
//
// It type-checks the sources without the generated file, so it can always be
// run again after a change of a struct.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	directory := flag.String("abi", "kernel/abi", "folder of package abi")
	flag.Parse()
	if err := write(*directory); err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}

func write(directory string) error {
	source, err := load(directory)
	if err != nil {
		return err
	}
	codec, err := source.goCodec()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, codecFile), codec, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, "gen", "abi.h"), source.cHeader(), 0o644)
}
