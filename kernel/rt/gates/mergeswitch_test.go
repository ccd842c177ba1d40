// The pass between TinyGo and llc must not change what a program does. It is run
// here as the build runs it, on chains of switches, and both versions are executed
// on every value of a byte.

package gates

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// chain writes a function of a byte as a chain of switches with the given case
// counts, as LLVM leaves it, and a main that hashes the function's 256 values
// and returns 0 if the hash is `want`. Every tenth case meets in one block with a
// phi, where an edge without its value would show.
func chain(counts []int, want uint32) string {
	var b, blocks, phi strings.Builder
	b.WriteString("define i32 @f(i8 %x) {\nentry:\n")
	value, label := 0, "entry"
	for level, count := range counts {
		next := fmt.Sprintf("level%d", level+1)
		if level == len(counts)-1 {
			next = "otherwise"
		}
		fmt.Fprintf(&b, "  switch i8 %%x, label %%%s [\n", next)
		for range count {
			if value%10 == 9 {
				fmt.Fprintf(&b, "    i8 %d, label %%meet\n", int8(value))
				fmt.Fprintf(&phi, "[ %d, %%%s ], ", level+1000, label)
			} else {
				fmt.Fprintf(&b, "    i8 %d, label %%case%d\n", int8(value), value)
				fmt.Fprintf(&blocks, "case%d:\n  ret i32 %d\n", value, value*7+3)
			}
			value++
		}
		b.WriteString("  ]\n")
		if next != "otherwise" {
			fmt.Fprintf(&b, "%s:\n", next)
		}
		label = next
	}
	fmt.Fprintf(&b, "otherwise:\n  ret i32 77777\nmeet:\n  %%v = phi i32 %s\n  ret i32 %%v\n%s}\n", strings.TrimSuffix(phi.String(), ", "), blocks.String())
	fmt.Fprintf(&b, `define i32 @main() {
entry:
  br label %%loop
loop:
  %%i = phi i32 [ 0, %%entry ], [ %%i1, %%loop ]
  %%h = phi i32 [ -2128831035, %%entry ], [ %%h2, %%loop ]
  %%x = trunc i32 %%i to i8
  %%v = call i32 @f(i8 %%x)
  %%h1 = xor i32 %%h, %%v
  %%h2 = mul i32 %%h1, 16777619
  %%i1 = add i32 %%i, 1
  %%more = icmp ult i32 %%i1, 256
  br i1 %%more, label %%loop, label %%done
done:
  %%same = icmp eq i32 %%h2, %d
  %%code = select i1 %%same, i32 0, i32 1
  ret i32 %%code
}
`, int32(want))
	return b.String()
}

// hash is what main of chain computes.
func hash(counts []int) uint32 {
	var levels []int // of each value
	for level, count := range counts {
		for range count {
			levels = append(levels, level)
		}
	}
	sum := uint32(0x811c9dc5)
	for value := range 256 {
		result := uint32(77777)
		if value < len(levels) {
			result = uint32(value*7 + 3)
			if value%10 == 9 {
				result = uint32(levels[value] + 1000)
			}
		}
		sum = (sum ^ result) * 16777619
	}
	return sum
}

func TestMergeSwitchKeepsTheMeaning(t *testing.T) {
	pass, err := filepath.Abs(filepath.Join(toolchain, "mergeswitch"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(pass); err != nil {
		t.Skip("no toolchain: run make kernel")
	}
	for _, c := range []struct {
		name     string
		counts   []int
		switches int // left in f
		complete bool
	}{
		{"one, small", []int{20}, 1, false},
		{"two, small", []int{2, 60}, 1, false},
		{"three, large", []int{2, 84, 66}, 1, true},
		{"every value", []int{100, 156}, 1, true},
		{"a phi of two levels", []int{60, 80}, 2, false},
	} {
		directory := t.TempDir()
		in, out := filepath.Join(directory, "in.ll"), filepath.Join(directory, "out.bc")
		// A phi whose block both levels reach is left alone by the pass; the
		// cases that merge keep their phis within one level.
		text := chain(c.counts, hash(c.counts))
		if c.name != "a phi of two levels" {
			text = onePhiLevel(c.counts)
		}
		if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if message, err := exec.Command("lli-19", in).CombinedOutput(); err != nil {
			t.Fatalf("%s: the test's own program is wrong: %v\n%s", c.name, err, message)
		}
		if message, err := exec.Command(pass, in, out).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, message)
		}
		if message, err := exec.Command("lli-19", out).CombinedOutput(); err != nil {
			t.Errorf("%s: means something else now: %v\n%s", c.name, err, message)
		}
		after, err := exec.Command("llvm-dis-19", out, "-o", "-").Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(after), "switch i8"); got != c.switches {
			t.Errorf("%s: %d switches left, want %d", c.name, got, c.switches)
		}
		if got := strings.Contains(string(after), "unreachable"); got != c.complete {
			t.Errorf("%s: complete is %v, want %v", c.name, got, c.complete)
		}
	}
}

// onePhiLevel is chain with a block and phi of its own for each level.
func onePhiLevel(counts []int) string {
	text := chain(counts, hash(counts))
	head, tail, _ := strings.Cut(text, "meet:\n")
	_, tail, _ = strings.Cut(tail, "ret i32 %v\n")
	level := 0
	var meets strings.Builder
	lines := strings.Split(head, "\n")
	for i, l := range lines {
		if strings.HasSuffix(l, ":") && strings.HasPrefix(l, "level") {
			level++
		}
		if strings.HasSuffix(l, "label %meet") {
			lines[i] = strings.Replace(l, "%meet", fmt.Sprintf("%%meet%d", level), 1)
		}
	}
	value := 0
	for i, count := range counts {
		from := "entry"
		if i > 0 {
			from = fmt.Sprintf("level%d", i)
		}
		var incoming []string
		for range count {
			if value%10 == 9 {
				incoming = append(incoming, fmt.Sprintf("[ %d, %%%s ]", i+1000, from))
			}
			value++
		}
		if len(incoming) > 0 {
			fmt.Fprintf(&meets, "meet%d:\n  %%v%d = phi i32 %s\n  ret i32 %%v%d\n", i, i, strings.Join(incoming, ", "), i)
		}
	}
	return strings.Join(lines, "\n") + meets.String() + tail
}
