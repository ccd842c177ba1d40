// Files: where they may be, how they begin, and that none is lost.

package tidy

import (
	"fmt"
	"go/build/constraint"
	"path"
	"regexp"
	"slices"
	"strings"
)

// FileBytesMax keeps clones fast; larger things are fetched by hash.
const FileBytesMax = 1 << 20

var topLevel = []string{
	"kernel", "lab", "suites", "fuzz", "bench", "optimizer", "images", "dashboards", ".github", ".ci",
	"go.mod", "go.sum", "Makefile", "README.md", "ARCHITECTURE.md", "RATIONALE.md", "CAVEATS.md", "LICENSE",
	".gitignore", ".clang-format", ".clang-tidy", ".golangci.yml", ".dockerignore", ".gitattributes",
}

// Place checks the fixed names at the top and the size of every file.
func Place(tree Tree) []Problem {
	var problems []Problem
	for _, file := range tree.paths() {
		if first := firstElement(file); !slices.Contains(topLevel, first) {
			problems = append(problems, Problem{Path: file, Text: first + " is not one of the fixed names at the top level"})
		}
		if len(tree[file]) > FileBytesMax {
			problems = append(problems, Problem{Path: file, Text: fmt.Sprintf("%d bytes, at most %d: fetch it by hash", len(tree[file]), FileBytesMax)})
		}
		if under(file, "images/out") || under(file, "bin") {
			problems = append(problems, Problem{Path: file, Text: "build output is not committed"})
		}
	}
	return problems
}

// OpeningComment wants every source file to say what it is for before its
// first declaration, and every Go package to have a package comment.
func OpeningComment(tree Tree) []Problem {
	var problems []Problem
	documented, packages := map[string]bool{}, map[string]string{}
	for _, file := range tree.paths() {
		content := tree[file]
		if isTestdata(file) || content == "" {
			continue
		}
		switch extension := path.Ext(file); {
		case extension == ".go" && !strings.HasSuffix(file, "_test.go"):
			folder := path.Dir(file)
			packages[folder] = file
			if packageComment.MatchString(content) {
				documented[folder] = true
			}
			if !saysFirst(content, "//", "/*") {
				problems = append(problems, Problem{file, 1, "begin with what the file is for"})
			}
		case slices.Contains([]string{".c", ".h", ".S", ".ld"}, extension):
			if !strings.HasPrefix(content, "//") && !strings.HasPrefix(content, "/*") {
				problems = append(problems, Problem{file, 1, "begin with what the file is for"})
			}
		case slices.Contains([]string{".sh", ".mk", ".yml"}, extension) || path.Base(file) == "Makefile":
			if !strings.HasPrefix(content, "#") {
				problems = append(problems, Problem{file, 1, "begin with what the file is for"})
			}
		}
	}
	for folder, file := range packages {
		if !documented[folder] {
			problems = append(problems, Problem{file, 1, "no file of the package has a package comment"})
		}
	}
	return problems
}

var packageComment = regexp.MustCompile(`(?m)^(//.*|.*\*/)\npackage `)

// saysFirst reports whether a comment comes before the first declaration.
func saysFirst(content string, marks ...string) bool {
	inImports := false
	for line := range strings.SplitSeq(content, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "//go:"):
		case slices.ContainsFunc(marks, func(mark string) bool { return strings.HasPrefix(line, mark) }):
			return true
		case strings.HasPrefix(line, "import ("):
			inImports = true
		case inImports && line == ")":
			inImports = false
		case line == "" || inImports || strings.HasPrefix(line, "package ") || strings.HasPrefix(line, "import "):
		default:
			return false
		}
	}
	return false
}

// knownTags are build tags some build of ours sets.
var knownTags = map[string]bool{"tinygo": true, "linux": true, "amd64": true, "arm64": true, "goskernel": true, "unix": true, "race": true}

// Orphans finds sources that no build contains and test data nothing reads.
func Orphans(tree Tree) []Problem {
	var problems []Problem
	lost := func(file, format string, arguments ...any) {
		problems = append(problems, Problem{Path: file, Text: fmt.Sprintf(format, arguments...)})
	}
	mentions := corpus(tree)
	for _, file := range tree.paths() {
		base := path.Base(file)
		switch {
		case isTestdata(file):
			if why := orphanTestdata(tree, file); why != "" {
				lost(file, "%s", why)
			}
		case strings.HasSuffix(file, ".go"):
			if tag := unknownTag(tree[file]); tag != "" {
				lost(file, "no build sets its tag %q", tag)
			}
		case strings.HasSuffix(file, ".c") || strings.HasSuffix(file, ".S"):
			if !inKernelBuild(file) && !mentions.elsewhere(file, base) && !mentions.elsewhere(file, "*"+path.Ext(file)) {
				lost(file, "not in the kernel's build, and no test or recipe names it")
			}
		case slices.Contains([]string{".h", ".sh", ".mk", ".ld", ".txt"}, path.Ext(file)):
			if !mentions.elsewhere(file, base) {
				lost(file, "nothing names it")
			}
		}
	}
	return problems
}

func inKernelBuild(file string) bool {
	folders := []string{"kernel/arch", "kernel/board", "kernel/core", "kernel/drivers", "kernel/rt"}
	return slices.ContainsFunc(folders, func(folder string) bool { return under(file, folder) }) &&
		!strings.HasSuffix(file, "_host_test.c") && !strings.Contains(file, "/hosttest/")
}

// unknownTag returns a tag of the file's build constraint that nothing sets,
// when the file is left out without it.
func unknownTag(content string) string {
	for line := range strings.SplitSeq(content, "\n") {
		if strings.HasPrefix(line, "package ") {
			return ""
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		expression, err := constraint.Parse(line)
		if err != nil {
			return line
		}
		unknown := ""
		if !expression.Eval(func(tag string) bool {
			if !knownTags[tag] {
				unknown = tag
			}
			return knownTags[tag]
		}) && !expression.Eval(func(tag string) bool { return tag == "linux" || tag == "amd64" || tag == "unix" }) {
			return unknown
		}
	}
	return ""
}

// orphanTestdata says why a file below testdata is not read, or nothing: a
// fuzz corpus needs its target, anything else needs to be named (itself, one
// of its folders or its ending) by a file beside the testdata folder.
func orphanTestdata(tree Tree, file string) string {
	owner, inside, _ := strings.Cut("/"+file, "/testdata/")
	owner = strings.TrimPrefix(owner, "/")
	if strings.EqualFold(path.Base(file), "README.md") {
		return ""
	}
	parts := strings.Split(inside, "/")
	wanted := []string{parts[len(parts)-1], "*" + path.Ext(file), `"` + path.Ext(file) + `"`, "testdata/" + parts[0]}
	if parts[0] == "fuzz" && len(parts) > 2 {
		wanted = []string{"func " + parts[1] + "("}
	}
	if len(parts) > 1 {
		wanted = append(wanted, `"`+parts[len(parts)-2]+`"`)
	}
	for other, content := range tree {
		if isTestdata(other) || !strings.HasPrefix(other, owner) && !strings.HasSuffix(other, ".mk") {
			continue
		}
		if slices.ContainsFunc(wanted, func(word string) bool { return strings.Contains(content, word) }) {
			return ""
		}
	}
	return "no file of " + owner + " reads it"
}

// corpusText is every text that may name a file.
type corpusText map[string]string

func corpus(tree Tree) corpusText {
	texts := corpusText{}
	for file, content := range tree {
		if !strings.HasSuffix(file, ".md") && !strings.Contains(content[:min(len(content), 512)], "\x00") && !strings.HasPrefix(file, tidyItself) {
			texts[file] = content
		}
	}
	return texts
}

// elsewhere reports whether a file other than this one holds the word.
func (c corpusText) elsewhere(file, word string) bool {
	for other, content := range c {
		if other != file && strings.Contains(content, word) {
			return true
		}
	}
	return strings.HasPrefix(file, tidyItself)
}
