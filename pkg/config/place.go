package config

import (
	"errors"
	"strconv"
	"strings"

	"github.com/grafana/alloy/syntax/ast"

	"collector/pkg/component"
)

// Place makes diagnostics of an error of the component that b configures: at the
// argument or block that component.At names, or at the block itself. An error that
// joins several gives one diagnostic for each.
func (b *Block) Place(err error) Diagnostics {
	return place(b.file, b.stmt.Body, b.At, b.Name+": ", err)
}

// Find is the position of the argument or block to which path leads, as component.At
// has it, and the path as people read it; the block itself if it has nothing of it.
func (b *Block) Find(path string) (at Range, words string) {
	s := locate(b.file, b.stmt.Body, strings.Split(path, "/"))
	if s.at.Line == 0 {
		s.at = b.At
	}
	return s.at, s.words
}

// place makes diagnostics of err, a complaint about a block with this body.
func place(f *file, body ast.Body, at Range, prefix string, err error) Diagnostics {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var ds Diagnostics
		for _, e := range joined.Unwrap() {
			ds = append(ds, place(f, body, at, prefix, e)...)
		}
		return ds
	}
	var placed *component.PlacedError
	if !errors.As(err, &placed) {
		return Diagnostics{{At: at, Message: prefix + err.Error(), Missing: component.Lacks(err)}}
	}
	s := locate(f, body, strings.Split(placed.Path, "/"))
	d := Diagnostic{At: s.at, Message: err.Error(), Missing: component.Lacks(err)}
	if err == error(placed) {
		d.Message = s.words + ": " + placed.Err.Error()
	}
	if s.at.Line == 0 {
		d.At, d.Message = at, prefix+d.Message
	}
	if s.whole {
		d.blameVariables(f, s.value)
	}
	return Diagnostics{d}
}

// spot is where a path leads to in the source.
type spot struct {
	at    Range    // zero if the source has nothing of the path
	value ast.Expr // of an argument
	words string   // the path as people read it
	whole bool     // the source has all of the path
}

// locate goes as far along the steps of a path as the source has it.
func locate(f *file, body ast.Body, steps []string) spot {
	name, index := component.Step(steps[0])
	missing := spot{words: component.PathWords(strings.Join(steps, "/"))}
	same := named(body, name)
	if len(same) == 0 {
		return missing
	}
	if stmt, ok := same[0].(*ast.AttributeStmt); ok {
		s := spot{at: f.node(stmt.Name), value: stmt.Value, words: missing.words, whole: len(steps) == 1}
		if list, ok := stmt.Value.(*ast.ArrayExpr); ok && index >= 0 && index < len(list.Elements) {
			s.at, s.value = f.node(list.Elements[index]), list.Elements[index]
		}
		return s
	}
	if index >= len(same) {
		return missing
	}
	stmt := same[max(index, 0)].(*ast.BlockStmt)
	own := spot{at: f.at(stmt.NamePos.Position(), stmt.NamePos.Add(len(name)-1).Position()), words: name, whole: len(steps) == 1}
	if len(same) > 1 {
		own.words = name + " " + strconv.Itoa(max(index, 0)+1)
	}
	if own.whole {
		return own
	}
	inner := locate(f, stmt.Body, steps[1:])
	inner.words = own.words + " > " + inner.words
	if inner.at.Line == 0 {
		inner.at = own.at
	}
	return inner
}

// named are the statements of a name in a body: one argument, or blocks.
func named(body ast.Body, name string) []ast.Stmt {
	var same []ast.Stmt
	for _, stmt := range body {
		switch s := stmt.(type) {
		case *ast.AttributeStmt:
			if s.Name.Name == name {
				return []ast.Stmt{s}
			}
		case *ast.BlockStmt:
			if strings.Join(s.Name, ".") == name {
				same = append(same, s)
			}
		}
	}
	return same
}
