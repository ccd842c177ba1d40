package bpf

import (
	"encoding/binary"
	"math/bits"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// SHA-256 as FIPS 180-4 section 6.2 states it. The standard library's drags in
// what an image without a heap cannot link; tests hold ours against it.

const digestBlockBytes = 64

// Hasher takes a message in pieces. The zero value is not ready: call Reset.
type Hasher struct {
	state   [8]uint32
	block   [digestBlockBytes]byte
	pending int    // bytes waiting in block
	total   uint64 // bytes written so far
}

// First 32 bits of the fractional parts of the square roots of the first 8 primes.
var digestInitial = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
var digestRound = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// Reset makes the hasher ready for a new message.
func (h *Hasher) Reset() {
	h.state = digestInitial
	h.pending = 0
	h.total = 0
}

// Write adds bytes to the message.
func (h *Hasher) Write(message []byte) {
	h.total += uint64(len(message))
	for len(message) > 0 {
		copied := copy(h.block[h.pending:], message)
		message = message[copied:]
		h.pending += copied
		if h.pending == digestBlockBytes {
			h.compress()
			h.pending = 0
		}
	}
}

// Sum ends the message; the hasher must be Reset before it is used again.
func (h *Hasher) Sum() abi.Digest {
	messageBits := h.total * 8
	h.block[h.pending] = 0x80
	clear(h.block[h.pending+1:])
	if h.pending >= digestBlockBytes-8 {
		h.compress()
		clear(h.block[:])
	}
	binary.BigEndian.PutUint64(h.block[digestBlockBytes-8:], messageBits)
	h.compress()
	var digest abi.Digest
	for index, word := range h.state {
		binary.BigEndian.PutUint32(digest[index*4:], word)
	}
	return digest
}

func (h *Hasher) compress() {
	var schedule [64]uint32
	for t := 0; t < 16; t++ {
		schedule[t] = binary.BigEndian.Uint32(h.block[t*4:])
	}
	for t := 16; t < 64; t++ {
		x, y := schedule[t-15], schedule[t-2]
		small0 := bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
		small1 := bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10
		schedule[t] = schedule[t-16] + small0 + schedule[t-7] + small1
	}
	a, b, c, d := h.state[0], h.state[1], h.state[2], h.state[3]
	e, f, g, last := h.state[4], h.state[5], h.state[6], h.state[7]
	for t := 0; t < 64; t++ {
		big1 := bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)
		temporary1 := last + big1 + (e&f ^ ^e&g) + digestRound[t] + schedule[t]
		big0 := bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)
		temporary2 := big0 + (a&b ^ a&c ^ b&c)
		last, g, f, e = g, f, e, d+temporary1
		d, c, b, a = c, b, a, temporary1+temporary2
	}
	h.state[0] += a
	h.state[1] += b
	h.state[2] += c
	h.state[3] += d
	h.state[4] += e
	h.state[5] += f
	h.state[6] += g
	h.state[7] += last
}

// Digest is the name of a program: SHA-256 over its wire format.
func Digest(instructions []Instruction) abi.Digest {
	var hasher Hasher
	var slot [SlotBytes]byte
	hasher.Reset()
	for _, instruction := range instructions {
		EncodeSlot(instruction, slot[:])
		hasher.Write(slot[:])
	}
	return hasher.Sum()
}

// DigestBytes is SHA-256 over bytes.
func DigestBytes(message []byte) abi.Digest {
	var hasher Hasher
	hasher.Reset()
	hasher.Write(message)
	return hasher.Sum()
}
