// Functions fit a screen. What does not is listed in lengths.txt with its
// present length, which may only fall, and the reason.

package tidy

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// FunctionLinesMax is a screen.
const FunctionLinesMax = 70

//go:embed lengths.txt
var lengthsFile string

type function struct {
	file, name  string
	line, lines int
}

// Lengths checks every function of Go and C against the ratchet of lengths.txt.
func Lengths(tree Tree) []Problem { return checkLengths(tree, lengthsFile) }

func checkLengths(tree Tree, ratchet string) []Problem {
	var problems []Problem
	allowed := map[string]int{}
	for number, line := range strings.Split(ratchet, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		lines, err := strconv.Atoi(fields[min(1, len(fields)-1)])
		if err != nil || len(fields) < 4 {
			problems = append(problems, Problem{"images/tidy/lengths.txt", number + 1, "want: PATH:FUNCTION LINES why it may be so long"})
			continue
		}
		allowed[fields[0]] = lines
	}
	for _, one := range functions(tree) {
		key := one.file + ":" + one.name
		limit, listed := allowed[key]
		delete(allowed, key)
		switch {
		case listed && one.lines < limit:
			problems = append(problems, Problem{one.file, one.line, fmt.Sprintf("%s has %d lines: lower its entry %d in lengths.txt, or delete it at %d", one.name, one.lines, limit, FunctionLinesMax)})
		case listed && one.lines > limit:
			problems = append(problems, Problem{one.file, one.line, fmt.Sprintf("%s grew from %d to %d lines", one.name, limit, one.lines)})
		case !listed && one.lines > FunctionLinesMax:
			problems = append(problems, Problem{one.file, one.line, fmt.Sprintf("%s has %d lines, at most %d: split it", one.name, one.lines, FunctionLinesMax)})
		}
	}
	for key := range allowed {
		problems = append(problems, Problem{"images/tidy/lengths.txt", 0, key + " is no longer there: delete the entry"})
	}
	return problems
}

func functions(tree Tree) []function {
	var found []function
	for _, file := range tree.paths() {
		content := tree[file]
		switch {
		case isTestdata(file) || isGenerated(content):
		case strings.HasSuffix(file, ".go"):
			found = append(found, goFunctions(file, content)...)
		case strings.HasSuffix(file, ".c"):
			found = append(found, cFunctions(file, content)...)
		}
	}
	return found
}

func goFunctions(file, content string) (found []function) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, content, parser.SkipObjectResolution)
	if err != nil {
		return nil // the compiler says it better
	}
	for _, declaration := range parsed.Decls {
		one, ok := declaration.(*ast.FuncDecl)
		if !ok || one.Body == nil {
			continue
		}
		name := one.Name.Name
		if one.Recv != nil {
			name = receiver(one.Recv.List[0].Type) + "." + name
		}
		first, last := set.Position(one.Pos()).Line, set.Position(one.End()).Line
		found = append(found, function{file, name, first, last - first + 1})
	}
	return found
}

func receiver(expression ast.Expr) string {
	switch kind := expression.(type) {
	case *ast.StarExpr:
		return receiver(kind.X)
	case *ast.IndexExpr:
		return receiver(kind.X)
	case *ast.Ident:
		return kind.Name
	}
	return "?"
}

var callName = regexp.MustCompile(`([A-Za-z_][A-Za-z_0-9]*)[ \t]*\(`)

// cFunctions relies on the house layout: a body's braces stand in column one,
// or the opening one ends the line of the parameters.
func cFunctions(file, content string) (found []function) {
	header, start := "", 0
	inside := false
	for index, line := range strings.Split(content, "\n") {
		switch {
		case inside:
			if strings.HasPrefix(line, "}") {
				name := "?"
				if match := callName.FindStringSubmatch(header); match != nil {
					name = match[1]
				}
				found = append(found, function{file, name, start + 1, index - start + 1})
				inside, header = false, ""
			}
		case line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "/*") || strings.HasPrefix(line, " *"):
			header = ""
		case strings.HasPrefix(line, "{") || strings.HasSuffix(line, "{") && !strings.Contains(line, "="):
			if header == "" {
				start = index
			}
			header += line
			inside = strings.Contains(header, "(") && !strings.HasPrefix(header, "struct "+"{")
			if !inside {
				header = ""
			}
		case strings.HasSuffix(line, ";") || strings.HasPrefix(line, "}"):
			header = ""
		default:
			if header == "" {
				start = index
			}
			header += line
		}
	}
	return found
}
