// Calls and words that have a better replacement, each with the replacement.

package tidy

import (
	"fmt"
	"regexp"
	"strings"
)

type ban struct {
	where   *regexp.Regexp // paths it holds for
	except  *regexp.Regexp // paths it spares, or nil
	what    *regexp.Regexp
	instead string

	notInMain bool // a main, or a TestMain, may
}

// tidyItself must name what it bans.
const tidyItself = "images/tidy/"

var bans = []ban{
	{regexp.MustCompile(`^suites/.*\.go$`), nil, regexp.MustCompile(`\btime\.Sleep\(`),
		"wait for the message you need (guest.Stream) or use Eventually", false},
	{regexp.MustCompile(`.`), nil, regexp.MustCompile(`\b(pkill|killall)\b`),
		"end only the process you started, by its id", false},
	{regexp.MustCompile(`\.go$`), nil, regexp.MustCompile(`\b(log\.Fatal|os\.Exit\()`),
		"return an error; only a main or TestMain ends the process", true},
	{regexp.MustCompile(`_test\.go$|^(kernel|optimizer|lab/experiment|suites)/.*\.go$`), nil, regexp.MustCompile(`\brand\.(N|IntN|Int64N|UintN|Uint64N|Uint32|Uint64|Int|Float64|Perm|Shuffle)\(`),
		"rand.New with a seed: the global source cannot be repeated", false},
	{regexp.MustCompile(`^kernel/.*\.[ch]$`), regexp.MustCompile(`(^|/)(testdata|hosttest)/|_host_test\.c$`), regexp.MustCompile(`\b(malloc|calloc|realloc|alloca|sprintf|strcpy|strcat|gets)\(`),
		"fixed pools, bounded copies, log_line", false},
	{regexp.MustCompile(`\.(go|c|h|S|sh|mk|ld)$|Makefile$`), nil, regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`),
		"do it, or say in CAVEATS what is missing", false},
	{regexp.MustCompile(`.`), nil, regexp.MustCompile(`(^|[\s"'=(])/(home|root|work|Users)/`),
		"a path of one machine; derive it", false},
	{regexp.MustCompile(`\.go$`), regexp.MustCompile(`_test\.go$`), regexp.MustCompile(`"/tmp/`), // tests name files of guests
		"os.TempDir", false},
}

// Calls looks for banned words line by line.
func Calls(tree Tree) []Problem {
	var problems []Problem
	for _, file := range tree.paths() {
		if strings.HasPrefix(file, tidyItself) || isTestdata(file) || strings.Contains(tree[file], "\x00") {
			continue
		}
		for _, one := range bans {
			if !one.where.MatchString(file) || one.except != nil && one.except.MatchString(file) || !one.what.MatchString(tree[file]) {
				continue
			}
			if one.notInMain && (strings.Contains(tree[file], "\npackage main\n") || strings.Contains(tree[file], "func TestMain(")) {
				continue
			}
			for index, line := range strings.Split(tree[file], "\n") {
				if found := one.what.FindString(line); found != "" {
					problems = append(problems, Problem{file, index + 1, fmt.Sprintf("%q: %s", strings.TrimSpace(found), one.instead)})
				}
			}
		}
	}
	return problems
}
