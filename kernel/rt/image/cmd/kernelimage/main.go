// Command kernelimage finishes the kernel's image. kernel.mk runs it:
//
//	kernelimage symbols FIRST.elf TABLE.S           the names of the first link
//	kernelimage seal FIRST.elf KERNEL.elf KERNEL.img DIGEST
//	                                                the second link, checked and sealed
package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"

	"github.com/kingly-os/go-kernel/kernel/rt/image"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kernelimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "symbols":
		return writeSymbols(args[1], args[2])
	case len(args) == 5 && args[0] == "seal":
		return seal(args[1], args[2], args[3], args[4])
	}
	return errors.New("usage: kernelimage symbols FIRST.elf TABLE.S | seal FIRST.elf KERNEL.elf KERNEL.img DIGEST")
}

func read(path string) ([]image.Symbol, uint64, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	return image.Symbols(file)
}

func writeSymbols(from, to string) error {
	symbols, end, err := read(from)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(image.Assembly(out, symbols, end), out.Close())
}

func seal(first, kernel, flat, digestPath string) error {
	before, _, err := read(first)
	if err != nil {
		return err
	}
	after, _, err := read(kernel)
	if err != nil {
		return err
	}
	if err := image.Same(before, after); err != nil {
		return err
	}
	digest, err := image.Seal(kernel, flat, digestPath)
	if err != nil {
		return err
	}
	information, err := os.Stat(flat)
	if err != nil {
		return err
	}
	fmt.Printf("    %s: %d functions, %d bytes, sha256 %x\n", flat, len(after), information.Size(), digest)
	return nil
}
