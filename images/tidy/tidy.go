// Package tidy holds the house rules that a reviewer would otherwise repeat:
// who may import whom, how long a function may be, which calls have a better
// replacement, and that no file is stale, lost or out of place. `make tidy`
// runs them over the files git tracks; a rule's own test plants a breach and
// expects it to be found.
package tidy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is what the rules see: path from the root, and content.
type Tree map[string]string

// Problem is one breach.
type Problem struct {
	Path string
	Line int // 1-based; 0 = the file as a whole
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Path, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

// Check is one rule.
type Check struct {
	Name string
	Run  func(Tree) []Problem
}

// Checks are all rules that need only the text of the tree.
var Checks = []Check{
	{"imports", Imports},
	{"includes", Includes},
	{"lengths", Lengths},
	{"calls", Calls},
	{"place", Place},
	{"opening comment", OpeningComment},
	{"orphans", Orphans},
}

// Load reads the files that git tracks below root.
func Load(root string) (Tree, error) {
	command := exec.Command("git", "ls-files", "-z")
	command.Dir = root
	list, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w", root, err)
	}
	tree := Tree{}
	for path := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		if err != nil {
			return nil, err
		}
		tree[path] = string(content)
	}
	return tree, nil
}

// paths lists the tree in order, so that problems come in order too.
func (t Tree) paths() []string {
	paths := make([]string, 0, len(t))
	for path := range t {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func isTestdata(path string) bool { return strings.Contains("/"+path, "/testdata/") }

func isGenerated(content string) bool {
	head := content[:min(len(content), 400)]
	return strings.Contains(head, "Code generated") || strings.Contains(head, "DO NOT EDIT")
}

func lineOf(content string, offset int) int { return 1 + strings.Count(content[:offset], "\n") }
