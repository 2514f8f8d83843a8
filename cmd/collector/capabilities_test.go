package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestComponentsAreAskedByTheirCapabilities checks that the program and its pages ask any
// component for what it can do, by an interface, and know none by its type.
func TestComponentsAreAskedByTheirCapabilities(t *testing.T) {
	ofComponents := map[string]bool{}
	for _, d := range components(nil, nil, nil, nil) {
		ofComponents[d.Config().PkgPath()] = true
	}
	if !ofComponents["collector/pkg/logs/process"] {
		t.Fatalf("the packages of components are not found: %v", ofComponents)
	}
	root := filepath.Join("..", "..")
	for _, dir := range []string{filepath.Join("cmd", "collector"), filepath.Join("pkg", "admin")} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				checkAssertions(t, path, ofComponents)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkAssertions finds the types of those packages in the type assertions and type
// switches of a file.
func checkAssertions(t *testing.T, file string, packages map[string]bool) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]string{}
	for _, i := range parsed.Imports {
		from, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(from)
		if i.Name != nil {
			name = i.Name.Name
		}
		imported[name] = from
	}
	check := func(types ...ast.Expr) {
		for _, one := range types {
			if star, ok := one.(*ast.StarExpr); ok {
				one = star.X
			}
			selected, ok := one.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if name, ok := selected.X.(*ast.Ident); ok && packages[imported[name.Name]] {
				t.Errorf("%s asserts the type %s.%s of a component: ask for an interface of pkg/inspect", files.Position(one.Pos()), name.Name, selected.Sel.Name)
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeAssertExpr:
			check(n.Type)
		case *ast.TypeSwitchStmt:
			for _, clause := range n.Body.List {
				check(clause.(*ast.CaseClause).List...)
			}
		}
		return true
	})
}
