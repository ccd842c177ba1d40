// Bytes, numbers and names as the binary format writes them.

package wasm

import "github.com/kingly-os/go-kernel/kernel/abi"

// reader walks foreign bytes. The first failure sticks: every read behind it
// returns zero and the loops, which test failed, end.
type reader struct {
	bytes []byte
	at    uint32
	end   uint32
	fault Fault
}

func (r *reader) failed() bool { return r.fault.Code != abi.OK }

func (r *reader) fail(code abi.Code) { r.failAt(code, r.at) }

func (r *reader) failAt(code abi.Code, offset uint32) {
	if !r.failed() {
		r.fault = Fault{code, offset}
	}
	r.at = r.end
}

func (r *reader) byte() byte {
	if r.failed() || r.at >= r.end {
		r.fail(abi.ErrTruncated)
		return 0
	}
	b := r.bytes[r.at]
	r.at++
	return b
}

// u32 reads an unsigned LEB128 number of 32 bits.
func (r *reader) u32() uint32 {
	result := uint32(0)
	for shift := uint(0); shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			r.failAt(abi.ErrWasmInteger, r.at-1)
			return 0
		}
		result |= uint32(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	if r.failed() {
		return 0
	}
	return result
}

// signed reads a signed LEB128 number of 32 or 64 bits.
func (r *reader) signed(width uint) int64 {
	result := int64(0)
	for shift := uint(0); shift < 70; shift += 7 {
		b := r.byte()
		result |= int64(b&0x7f) << shift
		if width-shift < 8 { // the last byte: what exceeds the width repeats the sign
			excess := b & 0x7f >> (width - shift - 1)
			if b >= 0x80 || excess != 0 && excess != 0x7f>>(width-shift-1) {
				r.failAt(abi.ErrWasmInteger, r.at-1)
				return 0
			}
		}
		if b < 0x80 {
			if shift+7 < 64 {
				result = result << (57 - shift) >> (57 - shift)
			}
			break
		}
	}
	return result
}

// fixed reads count bytes as a little-endian number.
func (r *reader) fixed(count uint32) uint64 {
	result := uint64(0)
	for i := uint32(0); i < count; i++ {
		result |= uint64(r.byte()) << (8 * i)
	}
	return result
}

// take returns the next count bytes as they lie.
func (r *reader) take(count uint32) []byte {
	if r.failed() || count > r.end-r.at {
		r.fail(abi.ErrTruncated)
		return nil
	}
	piece := r.bytes[r.at : r.at+count]
	r.at += count
	return piece
}

func (r *reader) name() []byte {
	at := r.at
	name := r.take(r.u32())
	if !r.failed() && !isUTF8(name) {
		r.failAt(abi.ErrWasmName, at)
	}
	return name
}

// isUTF8 follows the table of well-formed sequences in Unicode, chapter 3.9.
func isUTF8(text []byte) bool {
	for i := 0; i < len(text); {
		first := text[i]
		i++
		if first < 0x80 {
			continue
		}
		more, low, high := 0, byte(0x80), byte(0xbf)
		switch {
		case first >= 0xc2 && first <= 0xdf:
			more = 1
		case first >= 0xe0 && first <= 0xef:
			more = 2
		case first >= 0xf0 && first <= 0xf4:
			more = 3
		}
		switch first {
		case 0xe0:
			low = 0xa0
		case 0xed:
			high = 0x9f
		case 0xf0:
			low = 0x90
		case 0xf4:
			high = 0x8f
		}
		if more == 0 || i+more > len(text) || text[i] < low || text[i] > high {
			return false
		}
		for _, next := range text[i+1 : i+more] {
			if next&0xc0 != 0x80 {
				return false
			}
		}
		i += more
	}
	return true
}
