// Names of Go as names of C and as words.

package main

import (
	"strings"
	"unicode"
)

// words splits a Go name where a reader would: NetRXContext is Net RX Context,
// BootInsnCPU0 is Boot Insn CPU0.
func words(name string) []string {
	// Two names that capitals alone cannot split.
	name = strings.NewReplacer("RXTX", "RxTx", "CPUs", "Cpus").Replace(name)
	runes := []rune(name)
	var out []string
	start := 0
	for i := 1; i < len(runes); i++ {
		lowerToUpper := !unicode.IsUpper(runes[i-1]) && unicode.IsUpper(runes[i])
		lastOfCapitals := unicode.IsUpper(runes[i-1]) && unicode.IsUpper(runes[i]) &&
			i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if lowerToUpper || lastOfCapitals {
			out = append(out, string(runes[start:i]))
			start = i
		}
	}
	return append(out, string(runes[start:]))
}

func snake(name string) string { return strings.ToLower(strings.Join(words(name), "_")) }

func kebab(name string) string { return strings.ToLower(strings.Join(words(name), "-")) }

func upper(name string) string { return strings.ToUpper(strings.Join(words(name), "_")) }
