package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The sizes beyond which code must be split.
const (
	maxFunctionLines = 80
	maxFileLines     = 600
)

// registers are the packages that can only be used by importing them: embed, unsafe
// for go:linkname, and the codec with which the tests' own gRPC servers read gzip.
var registers = map[string]bool{`"embed"`: true, `"unsafe"`: true, `"google.golang.org/grpc/encoding/gzip"`: true}

// TestNothingIsTooLongAndNothingRunsByItself holds all code, tests too, to its
// size, and forbids init functions and imports for their side effects.
func TestNothingIsTooLongAndNothingRunsByItself(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, dir := range []string{"cmd", "pkg", "backend", "test", "bench", "tools"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			checkShape(t, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkShape(t *testing.T, path string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if n := files.File(file.Pos()).LineCount(); n > maxFileLines {
		t.Errorf("%s has %d lines; split it: at most %d", path, n, maxFileLines)
	}
	for _, imported := range file.Imports {
		if blank := imported.Name != nil && imported.Name.Name == "_"; blank && !registers[imported.Path.Value] && !onlyForTools(file) {
			t.Errorf("%s imports %s for its side effects", files.Position(imported.Pos()), imported.Path.Value)
		}
	}
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if f.Recv == nil && f.Name.Name == "init" {
			t.Errorf("%s is an init function: nothing runs by itself", files.Position(f.Pos()))
		}
		if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > maxFunctionLines {
			t.Errorf("%s: %s has %d lines; split it: at most %d", files.Position(f.Pos()), f.Name.Name, n, maxFunctionLines)
		}
	}
}

// onlyForTools reports whether file is one that is never built and names
// programs that are.
func onlyForTools(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:build tools") {
				return true
			}
		}
	}
	return false
}
