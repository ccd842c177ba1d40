// Reads package abi: structs with a layout and constants, in the order of their
// files. What has padding is refused here, once for both languages.

package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const codecFile = "codec_generated.go"

// source is what the generator reads: structs and constants in the order of
// their files.
type source struct {
	sizes   types.Sizes
	structs []structure
	groups  []group
	byHand  map[string]bool // constants that exist without the generated file
}

type structure struct {
	name   string
	doc    string
	typ    *types.Struct
	fields []*types.Var
	offset []int64
	bytes  int64
}

// group is one const declaration.
type group struct {
	doc       string
	constants []constantLine
}

type constantLine struct {
	name    string
	comment string
	typ     string // name of the defined type, or ""
	value   constant.Value
}

func load(directory string) (*source, error) {
	fileSet := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	var files []*ast.File
	for _, path := range paths {
		base := filepath.Base(path)
		if strings.HasSuffix(base, "_test.go") || base == codecFile {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(fileSet, base, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, errors.New("no Go files in " + directory)
	}
	// Bodies refer to the generated methods, which are absent here on purpose.
	config := types.Config{IgnoreFuncBodies: true, Error: func(error) {}, Sizes: types.SizesFor("gc", "arm64")}
	pkg, _ := config.Check("abi", fileSet, files, nil)
	s := &source{sizes: config.Sizes, byHand: map[string]bool{}}
	for _, file := range files {
		for _, declaration := range file.Decls {
			if general, ok := declaration.(*ast.GenDecl); ok {
				if err := s.add(pkg, general); err != nil {
					return nil, err
				}
			}
		}
	}
	return s, nil
}

func (s *source) add(pkg *types.Package, declaration *ast.GenDecl) error {
	current := group{doc: declaration.Doc.Text()}
	for _, spec := range declaration.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc.Text()
			if doc == "" {
				doc = declaration.Doc.Text()
			}
			if err := s.addType(pkg, spec.Name.Name, doc); err != nil {
				return err
			}
		case *ast.ValueSpec:
			if declaration.Tok != token.CONST {
				continue
			}
			for _, name := range spec.Names {
				s.byHand[name.Name] = true
				object, ok := pkg.Scope().Lookup(name.Name).(*types.Const)
				if !ok || !name.IsExported() || object.Val().Kind() == constant.Unknown {
					continue
				}
				line := constantLine{name: name.Name, comment: strings.TrimSpace(spec.Comment.Text()), value: object.Val()}
				if named, ok := object.Type().(*types.Named); ok {
					line.typ = named.Obj().Name()
				}
				current.constants = append(current.constants, line)
			}
		}
	}
	if len(current.constants) > 0 {
		s.groups = append(s.groups, current)
	}
	return nil
}

// addType takes the structs that have a layout: every field a fixed-size
// integer, an array of such, or another such struct.
func (s *source) addType(pkg *types.Package, name, doc string) error {
	typ, ok := pkg.Scope().Lookup(name).Type().Underlying().(*types.Struct)
	if !ok || !token.IsExported(name) || !fixed(typ) {
		return nil
	}
	st := structure{name: name, doc: doc, typ: typ, bytes: s.sizes.Sizeof(typ)}
	for i := range typ.NumFields() {
		st.fields = append(st.fields, typ.Field(i))
	}
	st.offset = s.sizes.Offsetsof(st.fields)
	var end int64
	for i, field := range st.fields {
		if st.offset[i] != end {
			return fmt.Errorf("%s.%s: %d bytes of implicit padding before it", name, field.Name(), st.offset[i]-end)
		}
		end = st.offset[i] + s.sizes.Sizeof(field.Type())
	}
	if end != st.bytes {
		return fmt.Errorf("%s: %d bytes of implicit padding at its end", name, st.bytes-end)
	}
	s.structs = append(s.structs, st)
	return nil
}

func fixed(typ types.Type) bool {
	switch typ := typ.Underlying().(type) {
	case *types.Basic:
		switch typ.Kind() {
		case types.Int8, types.Int16, types.Int32, types.Int64, types.Uint8, types.Uint16, types.Uint32, types.Uint64:
			return true
		}
	case *types.Array:
		return fixed(typ.Elem())
	case *types.Struct:
		for i := range typ.NumFields() {
			if !fixed(typ.Field(i).Type()) {
				return false
			}
		}
		return true
	}
	return false
}
