package bpf

import "github.com/kingly-os/go-kernel/kernel/abi"

// Characters, words, registers and numbers. Nothing here keeps state beyond
// the position, so every function may be tried and, where it says so, leaves
// the position alone on a miss.

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '$'
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func skipBlanks(text []byte, at int) int {
	for at < len(text) && isBlank(text[at]) {
		at++
	}
	return at
}

func hasPrefix(text []byte, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for index := 0; index < len(prefix); index++ {
		if text[index] != prefix[index] {
			return false
		}
	}
	return true
}

func equalBytes(left, right []byte) bool {
	if len(left) != len(right) {
		return false
	}
	for index := range left {
		if left[index] != right[index] {
			return false
		}
	}
	return true
}

func (a *assembler) blanks() { a.at = skipBlanks(a.text, a.at) }

// accept takes exactly these characters, or nothing.
func (a *assembler) accept(token string) bool {
	if !hasPrefix(a.text[a.at:], token) {
		return false
	}
	a.at += len(token)
	return true
}

// word takes these characters, after blanks, if no name continues them.
func (a *assembler) word(token string) bool {
	at := skipBlanks(a.text, a.at)
	if !hasPrefix(a.text[at:], token) {
		return false
	}
	end := at + len(token)
	if end < len(a.text) && isNameByte(a.text[end]) {
		return false
	}
	a.at = end
	return true
}

// expect takes blanks and these characters, or fails.
func (a *assembler) expect(token string) {
	a.blanks()
	if !a.accept(token) {
		a.fail(a.at, abi.ErrSyntax)
	}
}

// peekIsRegister says that something like r0 or w10 comes next.
func (a *assembler) peekIsRegister() bool {
	if a.at+1 >= len(a.text) || a.text[a.at] != 'r' && a.text[a.at] != 'w' || !isDigit(a.text[a.at+1]) {
		return false
	}
	end := a.at + 1
	for end < len(a.text) && isDigit(a.text[end]) {
		end++
	}
	return end >= len(a.text) || !isNameByte(a.text[end])
}

// register reads rN where allow64 says so and wN where allow32 does.
func (a *assembler) register(allow64, allow32 bool) (number uint8, is32 bool) {
	a.blanks()
	start := a.at
	if !a.peekIsRegister() {
		a.fail(start, abi.ErrSyntax)
		return 0, false
	}
	is32 = a.text[a.at] == 'w'
	if is32 && !allow32 || !is32 && !allow64 {
		a.fail(start, abi.ErrSyntax)
	}
	a.at++
	value := 0
	digits := 0
	for a.at < len(a.text) && isDigit(a.text[a.at]) {
		if digits < 3 {
			value = value*10 + int(a.text[a.at]-'0')
		}
		digits++
		a.at++
	}
	if digits > 2 || value >= RegisterCount {
		a.fail(start, abi.ErrBadRegister)
		return 0, is32
	}
	return uint8(value), is32
}

// sameRegister reads a register that must be the given one.
func (a *assembler) sameRegister(want uint8, allow64, allow32 bool) {
	start := a.at
	if got, _ := a.register(allow64, allow32); got != want {
		a.fail(start, abi.ErrSyntax)
	}
}

// wideValue is a literal: 64 bits, and whether it was written with a minus.
type wideValue struct {
	bits     uint64
	negative bool
}

// wideNumber reads a signed or unsigned literal of up to 64 bits. Blanks may
// stand between sign and digits, as in `(r10 - 8)`.
func (a *assembler) wideNumber() wideValue {
	a.blanks()
	start := a.at
	negative := false
	if a.accept("-") {
		negative = true
	} else {
		a.accept("+")
	}
	a.blanks()
	base := uint64(10)
	if hasPrefix(a.text[a.at:], "0x") || hasPrefix(a.text[a.at:], "0X") {
		base = 16
		a.at += 2
	}
	var magnitude uint64
	digits := 0
	for a.at < len(a.text) {
		digit := digitValue(a.text[a.at])
		if digit >= base {
			break
		}
		if magnitude > (^uint64(0)-digit)/base {
			a.fail(start, abi.ErrRange)
			return wideValue{}
		}
		magnitude = magnitude*base + digit
		digits++
		a.at++
	}
	if digits == 0 || a.at < len(a.text) && isNameByte(a.text[a.at]) {
		a.fail(start, abi.ErrSyntax)
		return wideValue{}
	}
	if negative {
		if magnitude > 1<<63 {
			a.fail(start, abi.ErrRange)
		}
		return wideValue{-magnitude, magnitude != 0}
	}
	return wideValue{magnitude, false}
}

func digitValue(c byte) uint64 {
	switch {
	case isDigit(c):
		return uint64(c - '0')
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return uint64(c-'A') + 10
	}
	return 255
}

// number is a literal that fits int64.
func (a *assembler) number() int64 {
	start := a.at
	value := a.wideNumber()
	if !value.negative && value.bits>>63 != 0 {
		a.fail(start, abi.ErrRange)
	}
	return int64(value.bits)
}

// immediate32 reads an immediate; see narrow for what fits.
func (a *assembler) immediate32(extended bool) int32 {
	a.blanks()
	at := a.at
	return a.narrow(at, a.wideNumber(), extended)
}

// narrow fits a literal into the 32-bit field. Where the machine will extend
// the sign to 64 bits (extended), 0x80000000 to 0xffffffff would silently mean
// another number and are refused; elsewhere both readings are the same bits.
func (a *assembler) narrow(at int, value wideValue, extended bool) int32 {
	signed := int64(value.bits)
	fits := signed == int64(int32(signed)) && (value.negative == (signed < 0))
	if !fits && !extended && !value.negative {
		fits = value.bits <= 0xffffffff
	}
	if !fits {
		a.fail(at, abi.ErrRange)
	}
	return int32(uint32(value.bits))
}
