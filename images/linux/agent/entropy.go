//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entropyBytes is what marks the kernel's random generator as seeded: 256 bits.
const entropyBytes = 32

// creditEntropy seeds the random generator with fixed bytes. Without it every
// system call takes the generator's slow path (getppid 334 -> 9947 instructions
// on 6.12, measured 2026-11); with random bytes, runs would not repeat. The
// guests of a lab hold no secrets.
func creditEntropy() error {
	file, err := os.OpenFile("/dev/random", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	// struct rand_pool_info: entropy_count in bits, buf_size in bytes, buf.
	var info [8 + entropyBytes]byte
	binary.LittleEndian.PutUint32(info[0:], entropyBytes*8)
	binary.LittleEndian.PutUint32(info[4:], entropyBytes)
	for i := range entropyBytes {
		info[8+i] = byte(i + 1)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&info[0])))
	if errno != 0 {
		return fmt.Errorf("crediting entropy: %w", errno)
	}
	return nil
}
