// Who may import whom: evidence flows from the measured to the measurer, never
// back, and what the kernel runs never depends on the host.

package tidy

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/kingly-os/go-kernel/"

// stages in the order a candidate passes them. A stage may import earlier ones.
var stages = []string{"telemetry", "propose", "review", "analyze", "verify", "dryrun", "jit", "deploy", "monitor", "pipeline"}

// leaves may be imported by every stage.
var leaves = []string{"bpf", "interp"}

// serviceStandard is all of the standard library that services may use; of
// encoding/binary the byte orders only, which allocate nothing (a reachable
// allocation fails at link time in any case), and of math the integer constants
// only, which gate D of the kernel's build sees to.
var serviceStandard = []string{"math/bits", "encoding/binary", "sync/atomic", "math"}

// seesServices may import kernel/svc; every other package outside the kernel
// imports only kernel/abi of it.
var seesServices = []string{"lab/cmd", "lab/promote", "optimizer", "fuzz", "bench", "kernel/sim", "kernel/elf", "kernel/rt/entry"}

// Imports checks the import lines of every Go file.
func Imports(tree Tree) []Problem {
	var problems []Problem
	for _, file := range tree.paths() {
		if !strings.HasSuffix(file, ".go") || isTestdata(file) || strings.HasPrefix(file, "images/tools/") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, tree[file], parser.ImportsOnly)
		if err != nil {
			problems = append(problems, Problem{Path: file, Text: err.Error()})
			continue
		}
		for _, one := range parsed.Imports {
			imported, _ := strconv.Unquote(one.Path.Value)
			if why := refuseImport(file, imported); why != "" {
				problems = append(problems, Problem{file, set.Position(one.Pos()).Line, fmt.Sprintf("imports %s: %s", imported, why)})
			}
		}
	}
	return problems
}

// refuseImport returns why a file may not import something, or nothing.
func refuseImport(file, imported string) string {
	from := path.Dir(file)
	isTest := strings.HasSuffix(file, "_test.go")
	// The agent asks Linux for things no package offers (ioctl of the entropy pool).
	if imported == "unsafe" && !under(from, "kernel/rt") && !under(from, "images/linux/agent") && !isTest {
		return "unsafe is for kernel/rt, the seam of calls"
	}
	target, ours := strings.CutPrefix(imported, module)
	switch {
	case ours && (under(target, "suites") && !under(from, "suites") || under(target, "lab/cmd") || under(target, "kernel/rt/entry")) && !under(from, target):
		return "a program, not a library"
	case isTest:
		return "" // tests may compare with whatever they like
	case from == "kernel/abi":
		return "the seam of data imports nothing"
	case from == "kernel/rt" && ours && target != "kernel/abi":
		return "the seam of calls imports only kernel/abi"
	case under(from, "kernel/svc"):
		return refuseForService(from, imported, target, ours)
	case !ours:
		return ""
	case under(from, "kernel"):
		if !under(target, "kernel") {
			return "the kernel never imports the host side"
		}
	case under(target, "kernel") && target != "kernel/abi":
		if !mayDecide(from) {
			return "outside " + strings.Join(seesServices, ", ") + " only kernel/abi is visible"
		}
	case under(from, "lab") && !under(target, "lab") && !under(target, "kernel") && !mayDecide(from):
		return "the lab does not import what it measures or what drives it"
	}
	return ""
}

// refuseForService is the rule inside kernel/svc.
func refuseForService(from, imported, target string, ours bool) string {
	if !ours {
		if slices.Contains(serviceStandard, imported) {
			return ""
		}
		return "services use only " + strings.Join(serviceStandard, ", ") + ": all else may allocate or hold state"
	}
	if target == "kernel/abi" || target == "kernel/rt" {
		return ""
	}
	imports, isService := strings.CutPrefix(target, "kernel/svc/")
	if !isService {
		return "services see kernel/abi, kernel/rt and earlier stages"
	}
	own, other := firstElement(strings.TrimPrefix(from, "kernel/svc/")), firstElement(imports)
	if own == other || slices.Contains(leaves, other) {
		return ""
	}
	if own == "interp" && other == "verify" {
		return "" // it runs what verify made
	}
	position, otherPosition := slices.Index(stages, own), slices.Index(stages, other)
	if position < 0 {
		return own + " is a leaf"
	}
	if otherPosition < 0 || otherPosition > position {
		return fmt.Sprintf("%s is not an earlier stage than %s", other, own)
	}
	return ""
}

// mayDecide reports whether a package is among seesServices.
func mayDecide(folder string) bool {
	return slices.ContainsFunc(seesServices, func(prefix string) bool { return under(folder, prefix) })
}

func under(folder, prefix string) bool {
	return folder == prefix || strings.HasPrefix(folder, prefix+"/")
}

func firstElement(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

var includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*"([^"]+)"`)

// wires may name drivers: they put the parts together.
var wires = []string{"core/main.c", "core/control/", "core/job/", "core/log/", "core/net/"}

// Includes checks the direction drivers -> core -> arch of the kernel's C.
func Includes(tree Tree) []Problem {
	var problems []Problem
	for _, file := range tree.paths() {
		inKernel, ok := strings.CutPrefix(file, "kernel/")
		if !ok || !isC(file) || isTestdata(file) {
			continue
		}
		for _, match := range includeLine.FindAllStringSubmatchIndex(tree[file], -1) {
			name := tree[file][match[2]:match[3]]
			if why := refuseInclude(inKernel, name); why != "" {
				problems = append(problems, Problem{file, lineOf(tree[file], match[0]), fmt.Sprintf("includes %s: %s", name, why)})
			}
		}
	}
	return problems
}

func refuseInclude(file, name string) string {
	isWire := slices.ContainsFunc(wires, func(prefix string) bool { return strings.HasPrefix(file, prefix) })
	switch {
	case strings.HasPrefix(name, "../"):
		return "name it from kernel/, such as core/sched/sched.h"
	case strings.HasPrefix(file, "arch/") && strings.HasPrefix(name, "drivers/"):
		return "the processor layer knows no driver"
	case strings.HasPrefix(file, "core/") && strings.HasPrefix(name, "drivers/") && !isWire:
		return "core knows no driver; only " + strings.Join(wires, ", ") + " put parts together"
	case strings.HasPrefix(file, "infer/") && name != "abi/gen/abi.h" && !strings.HasPrefix(name, "infer/"):
		return "infer sees only abi.h"
	}
	return ""
}

func isC(file string) bool {
	return strings.HasSuffix(file, ".c") || strings.HasSuffix(file, ".h") || strings.HasSuffix(file, ".S")
}
