package config

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/token"
)

// Readable says why the file at path cannot be read here. It reads nothing, and
// waits for no pipe.
func Readable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// blameVariables marks d as Missing if what it is about, the argument with the value
// e or a part of e, takes the value of environment variables that are not set here,
// and names them.
func (d *Diagnostic) blameVariables(f *file, e ast.Expr) {
	if e == nil {
		return
	}
	whole := !overlap(f.node(e), d.At)
	var names []string
	eachUnset(e, func(call *ast.CallExpr, name string) {
		if whole || overlap(f.node(call), d.At) {
			names = append(names, name)
		}
	})
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	names = slices.Compact(names)
	d.Missing = true
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	d.Message += fmt.Sprintf("; %s %s not set in the environment", strings.Join(names, ", "), verb)
}

func overlap(a, b Range) bool {
	return !before(a.EndLine, a.EndColumn, b.Line, b.Column) && !before(b.EndLine, b.EndColumn, a.Line, a.Column)
}

func before(line, column, thanLine, thanColumn int) bool {
	return line < thanLine || line == thanLine && column < thanColumn
}

// eachUnset calls f for each call in e that asks for an environment variable that
// is empty or not set.
func eachUnset(e ast.Expr, f func(call *ast.CallExpr, name string)) {
	if call, ok := e.(*ast.CallExpr); ok && len(call.Args) == 1 {
		path := strings.Join(accessPath(call.Value), ".")
		literal, ok := call.Args[0].(*ast.LiteralExpr)
		if (path == "sys.env" || path == "env") && ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil && os.Getenv(name) == "" {
				f(call, name)
			}
		}
	}
	for _, child := range children(e) {
		eachUnset(child, f)
	}
}
