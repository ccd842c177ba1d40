// Gate D: the source, with types, against the list of what a service may do.

package gates

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	goconstant "go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// allowed is the standard library a service may import: what TinyGo compiles to
// plain code without heap, floats or locks.
// Of math only integer constants; use checks that.
var allowed = map[string]bool{"encoding/binary": true, "math/bits": true, "math": true, "sync/atomic": true, "slices": true, "cmp": true}

// ours is the part of this module that the image is made of.
const ours = "github.com/kingly-os/go-kernel/kernel/"

// Package is what go list says about one package.
type Package struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	DepOnly    bool
	Error      *struct{ Err string }
}

// List loads packages and their dependencies; directory is a module's folder.
func List(directory string, patterns ...string) ([]Package, error) {
	args := append([]string{"list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,DepOnly,Error"}, patterns...)
	command := exec.Command("go", args...)
	command.Dir = directory
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", strings.Join(patterns, " "), err, stderr.String())
	}
	var packages []Package
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// Source is gate D over the packages that patterns name. It looks at types and
// not at text alone, since a map or an error has no syntax of its own.
func Source(directory string, patterns ...string) ([]Finding, error) {
	packages, err := List(directory, patterns...)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	fileSet := token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	}
	config := types.Config{Importer: importer.ForCompiler(fileSet, "gc", lookup)}
	var findings []Finding
	looked := 0
	for _, p := range packages {
		if p.DepOnly {
			continue
		}
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		checker := sourceChecker{fileSet: fileSet, root: directory, unsafeAllowed: strings.HasPrefix(p.ImportPath, ours+"rt")}
		if err := checker.check(p, config); err != nil {
			return nil, err
		}
		findings = append(findings, checker.findings...)
		looked++
	}
	if looked == 0 {
		return nil, fmt.Errorf("gate D: no package matches %v", patterns)
	}
	return findings, nil
}

type sourceChecker struct {
	fileSet       *token.FileSet
	root          string
	unsafeAllowed bool
	info          types.Info
	findings      []Finding
}

func (c *sourceChecker) check(p Package, config types.Config) error {
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(c.fileSet, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	c.info = types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	if _, err := config.Check(p.ImportPath, c.fileSet, files, &c.info); err != nil {
		return err
	}
	for _, file := range files {
		c.imports(file)
		c.constraints(file)
		for _, declaration := range file.Decls {
			// Maps and channels at package level are built by the compiler
			// and become constants; what functions do is what counts.
			if f, ok := declaration.(*ast.FuncDecl); ok {
				ast.Inspect(f, c.node)
			}
		}
	}
	return nil
}

func (c *sourceChecker) report(node ast.Node, text string) {
	place := c.fileSet.Position(node.Pos())
	name := place.Filename
	if relative, err := filepath.Rel(c.root, name); err == nil {
		name = relative
	}
	c.findings = append(c.findings, Finding{"D", fmt.Sprintf("%s:%d", name, place.Line), text})
}

func (c *sourceChecker) imports(file *ast.File) {
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		service := path == ours+"abi" || path == ours+"rt" || strings.HasPrefix(path, ours+"svc/")
		if !service && !allowed[path] && !(path == "unsafe" && c.unsafeAllowed) {
			c.report(spec, "imports "+path+", which is not on the list of a service")
		}
	}
}

// constraints refuses code that this gate, which sees the host's files, or the
// host's tests would never look at. Code for the host alone is no part of the
// image and may be set apart.
func (c *sourceChecker) constraints(file *ast.File) {
	if c.unsafeAllowed {
		return
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if comment.Pos() < file.Package && constraint.IsGoBuild(comment.Text) && comment.Text != "//go:build !tinygo" {
				c.report(comment, "a build constraint: kernel and host must compile the same source")
			}
		}
	}
}

func (c *sourceChecker) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(n, "go: there is no scheduler")
	case *ast.DeferStmt:
		c.report(n, "defer: its frame list is one global of the runtime")
	case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
		c.report(n, "a channel: there is no scheduler")
	case *ast.CallExpr:
		c.call(n)
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			c.mapWrite(left)
		}
	case *ast.IncDecStmt:
		c.mapWrite(n.X)
	case *ast.CompositeLit:
		if is[*types.Map](c.info.TypeOf(n)) {
			c.report(n, "a map made in a function: maps grow on the heap")
		}
	case *ast.BinaryExpr:
		c.comparison(n)
	}
	if name, ok := n.(*ast.Ident); ok {
		c.use(name)
	}
	if expression, ok := n.(ast.Expr); ok {
		c.float(expression)
	}
	return true
}

// use lets nothing of package math through but integer constants.
func (c *sourceChecker) use(name *ast.Ident) {
	object := c.info.Uses[name]
	if object == nil || object.Pkg() == nil || object.Pkg().Path() != "math" {
		return
	}
	if number, ok := object.(*types.Const); !ok || number.Val().Kind() != goconstant.Int {
		c.report(name, "math."+name.Name+": of package math only integer constants")
	}
}

func (c *sourceChecker) call(n *ast.CallExpr) {
	name, ok := ast.Unparen(n.Fun).(*ast.Ident)
	if !ok {
		return
	}
	builtin, ok := c.info.Uses[name].(*types.Builtin)
	if !ok {
		return
	}
	switch builtin.Name() {
	case "recover":
		c.report(n, "recover does not catch run-time errors here; the kernel's guard does")
	case "delete":
		c.report(n, "a write to a map")
	case "make", "new":
		if len(n.Args) > 0 && is[*types.Map](c.info.TypeOf(n.Args[0])) {
			c.report(n, "a map made in a function: maps grow on the heap")
		}
	case "print", "println":
		c.report(n, "prints through the runtime; use rt.Log")
	}
}

func (c *sourceChecker) mapWrite(left ast.Expr) {
	if index, ok := ast.Unparen(left).(*ast.IndexExpr); ok && is[*types.Map](c.info.TypeOf(index.X)) {
		c.report(left, "a write to a map")
	}
}

// comparison refuses == on interfaces: it pulls in reflection, floats and heap.
// Comparing with nil is a test of one word and stays allowed.
func (c *sourceChecker) comparison(n *ast.BinaryExpr) {
	if n.Op != token.EQL && n.Op != token.NEQ {
		return
	}
	x, y := c.info.Types[n.X], c.info.Types[n.Y]
	if x.IsNil() || y.IsNil() || x.Type == nil || y.Type == nil {
		return
	}
	if types.IsInterface(x.Type) || types.IsInterface(y.Type) {
		c.report(n, "compares interface values (errors among them); use abi.Code")
	}
}

func (c *sourceChecker) float(e ast.Expr) {
	value, ok := c.info.Types[e]
	if !ok || value.Type == nil || value.IsType() && value.Value != nil {
		return
	}
	if basic, ok := value.Type.Underlying().(*types.Basic); ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0 && basic.Info()&types.IsUntyped == 0 {
		c.report(e, "floating point: services do not own those registers")
	}
}

func is[T types.Type](t types.Type) bool {
	if t == nil {
		return false
	}
	_, ok := t.Underlying().(T)
	return ok
}
