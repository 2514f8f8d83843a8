package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/ast"

	"collector/pkg/suggest"
)

// Decoder decodes blocks into configuration structs, whose tags package component
// describes. It knows the language's own types; the hooks know the others that a
// configuration may hold.
type Decoder struct {
	Language *Language
	Resolve  Resolver
	// Values turns an evaluated value into a Go type, wherever that type
	// occurs in a configuration: alone, in a list or in a map.
	Values map[reflect.Type]func(any) (any, error)
	// Exprs makes a Go type of an expression as such. The type must be that of
	// an argument. Its error is as a Resolver's.
	Exprs map[reflect.Type]func(*Expr) (any, error)
	// TypeName names the types that the hooks make, such as "LogsReceiver".
	TypeName func(reflect.Type) string
	// CheckFiles has the files looked for that arguments with the tag option
	// "file" name.
	CheckFiles bool
	// Unreadable is what Decode found by CheckFiles. The component may do without
	// these files, so they don't make Decode fail.
	Unreadable Diagnostics
}

type defaulter interface{ SetToDefault() }
type validator interface{ Validate() error }

// Decode decodes b into the struct that into points to, which holds what
// SetToDefault says where b says nothing. It reports everything that is wrong
// with b. What a Resolver has reported already makes it return an empty list
// that is not nil: into cannot be used then either.
func (d *Decoder) Decode(b *Block, into any) Diagnostics {
	r := &decoding{Decoder: d, block: b, file: b.file}
	v := reflect.ValueOf(into).Elem()
	if f, ok := into.(defaulter); ok {
		f.SetToDefault()
	}
	r.body(b.stmt.Body, b.At, b.Name, v)
	if r.failed && r.diagnostics == nil {
		r.diagnostics = Diagnostics{}
	}
	return r.diagnostics
}

type decoding struct {
	*Decoder
	block       *Block
	file        *file
	diagnostics Diagnostics
	failed      bool // also by what has been reported already
}

func (r *decoding) report(at Range, accepted, format string, args ...any) {
	r.failed = true
	r.diagnostics = append(r.diagnostics, Diagnostic{At: at, Message: fmt.Sprintf(format, args...), Accepted: accepted})
}

// body decodes the statements of one block, called name, into v, a struct.
func (r *decoding) body(body ast.Body, at Range, name string, v reflect.Value) {
	before := r.failed
	r.failed = false
	fields := fieldsOf(v.Type())
	first := map[string]int{} // the line in which an argument or block was first seen
	for _, stmt := range body {
		switch stmt := stmt.(type) {
		case *ast.AttributeStmt:
			r.attribute(stmt, name, fields, first, v)
		case *ast.BlockStmt:
			r.nested(stmt, name, fields, first, v)
		}
	}
	for _, f := range fields {
		if _, seen := first[f.name]; !seen && !f.optional {
			r.report(at, "", "%s lacks the required %s %q", name, kindOf(f), f.name)
		}
	}
	if c, ok := v.Addr().Interface().(validator); ok && !r.failed {
		if err := c.Validate(); err != nil {
			r.failed = true
			r.diagnostics = append(r.diagnostics, place(r.file, body, at, "", err)...)
		}
	}
	r.failed = r.failed || before
}

func kindOf(f field) string {
	if f.block {
		return "block"
	}
	return "argument"
}

func (r *decoding) attribute(stmt *ast.AttributeStmt, parent string, fields []field, first map[string]int, v reflect.Value) {
	at := r.file.node(stmt.Name)
	f, ok := lookup(fields, stmt.Name.Name)
	if !ok {
		r.unknown(at, "argument", stmt.Name.Name, parent, fields)
		return
	}
	if f.block {
		// It is there, if in the wrong form: not missing as well.
		first[f.name] = at.Line
		at.secret = true // it may be what is secret within the block
		r.report(at, f.name+" { ... }", "%q of %s is a block, not an argument; write it without \"=\"", f.name, parent)
		return
	}
	if line, seen := first[f.name]; seen {
		r.report(at, "", "argument %q of %s is set twice; it is already set on line %d", f.name, parent, line)
		return
	}
	first[f.name] = at.Line
	before := len(r.diagnostics)
	r.value(stmt, v.FieldByIndex(f.index))
	for i := range r.diagnostics[before:] {
		d := &r.diagnostics[before+i]
		d.At.secret = d.At.secret || holdsSecret(f.typ)
		d.blameVariables(r.file, stmt.Value)
	}
	if f.file && r.CheckFiles && len(r.diagnostics) == before {
		r.checkFile(stmt, v.FieldByIndex(f.index).String())
	}
}

// checkFile reports that the file that an argument names cannot be read here.
func (r *decoding) checkFile(stmt *ast.AttributeStmt, path string) {
	if path == "" {
		return
	}
	if err := Readable(path); err != nil {
		d := Diagnostic{At: r.file.node(stmt.Name), Message: fmt.Sprintf("%s: %v", stmt.Name.Name, err), Missing: true}
		r.Unreadable = append(r.Unreadable, d)
	}
}

func (r *decoding) unknown(at Range, kind, name, parent string, fields []field) {
	hint := ""
	if path := whereNested(fields, name); path != "" {
		hint = fmt.Sprintf("; %q belongs in the block %s", name, path)
	} else {
		var names []string
		for _, f := range fields {
			names = append(names, f.name)
		}
		slices.Sort(names)
		hint = didYouMean(name, names)
		meant, ok := lookup(fields, suggest.Nearest(name, names))
		at.secret = !ok || holdsSecret(meant.typ) // else nobody knows what it was meant to be
	}
	r.report(at, acceptedNames(fields), "unknown %s %q of %s%s", kind, name, parent, hint)
}

// value evaluates an attribute into v.
func (r *decoding) value(stmt *ast.AttributeStmt, v reflect.Value) {
	e := r.expr(stmt.Value)
	if hook := r.Exprs[v.Type()]; hook != nil {
		made, err := hook(e)
		var found Diagnostics
		switch {
		case err == nil:
			v.Set(reflect.ValueOf(made))
		case errors.Is(err, ErrReported):
			r.failed = true
		case errors.As(err, &found):
			r.failed = true
			r.diagnostics = append(r.diagnostics, found...)
		default:
			r.report(e.At(), "", "%s: %v", stmt.Name.Name, err)
		}
		return
	}
	r.evaluate(e, v, stmt.Name.Name)
}

// evaluate stores the value of e in v.
func (r *decoding) evaluate(e *Expr, v reflect.Value, name string) {
	value, ds := e.Evaluate(r.Resolve)
	if ds == nil {
		r.convert(value, v, e.expr, name)
		return
	}
	r.failed = true
	if list, ok := e.expr.(*ast.ArrayExpr); ok && v.Kind() == reflect.Slice {
		// One element is at fault; others may be as well.
		for i, element := range list.Elements {
			r.evaluate(r.expr(element), reflect.New(v.Type().Elem()).Elem(), fmt.Sprintf("%s[%d]", name, i))
		}
		return
	}
	if source, _ := render(e.expr); holdsSecret(v.Type()) || maskLine(name+" = "+string(source)) != name+" = "+string(source) {
		for i := range ds { // the evaluator's words may quote the value
			ds[i].Message = fmt.Sprintf("the value of %s cannot be evaluated", name)
		}
	}
	r.diagnostics = append(r.diagnostics, ds...)
}

func (r *decoding) expr(e ast.Expr) *Expr {
	return &Expr{file: r.file, expr: e, refs: references(r.file, e), language: r.Language}
}

func (r *decoding) nested(stmt *ast.BlockStmt, parent string, fields []field, first map[string]int, v reflect.Value) {
	name := strings.Join(stmt.Name, ".")
	at := r.file.at(stmt.NamePos.Position(), stmt.NamePos.Add(len(name)-1).Position())
	f, ok := lookup(fields, name)
	if !ok && unsupported(v.Type(), name) {
		r.unsupported(stmt, v.Type())
		return
	}
	if !ok {
		r.unknown(at, "block", name, parent, fields)
		return
	}
	if !f.block {
		first[f.name] = at.Line
		r.report(at, f.name+" = "+r.typeWord(f.typ), "%q of %s is an argument, not a block; write it with \"=\"", f.name, parent)
		return
	}
	line, seen := first[f.name]
	if seen && !f.repeatable() {
		r.report(at, "", "block %q may appear only once in %s; the first is on line %d", f.name, parent, line)
		return
	}
	if !seen {
		first[f.name] = at.Line
	}
	label := labelOf(f.structOf())
	switch {
	case label == nil && stmt.Label != "":
		r.report(at, f.name+" { ... }", "block %q of %s takes no label", f.name, parent)
	case label != nil && stmt.Label == "":
		r.report(at, f.name+` "name" { ... }`, "block %q of %s needs a label", f.name, parent)
	}
	target := v.FieldByIndex(f.index)
	if f.repeatable() {
		if !seen && f.enum == "" { // the first block takes the place of the default
			target.Set(reflect.Zero(f.typ))
		}
		target.Set(reflect.Append(target, reflect.Zero(f.typ.Elem())))
		target = target.Index(target.Len() - 1)
	}
	if f.enum != "" {
		target = target.Field(f.variant)
	}
	if target.Kind() == reflect.Pointer {
		if target.IsNil() {
			target.Set(reflect.New(target.Type().Elem()))
		}
		target = target.Elem()
	}
	if c, ok := target.Addr().Interface().(defaulter); ok {
		c.SetToDefault()
	}
	if label != nil {
		target.FieldByIndex(label).SetString(stmt.Label)
	}
	r.body(stmt.Body, at, name, target)
}

// unsupported reports a block that Alloy has, and those of its kind within.
func (r *decoding) unsupported(stmt *ast.BlockStmt, t reflect.Type) {
	name := strings.Join(stmt.Name, ".")
	at := r.file.at(stmt.NamePos.Position(), stmt.NamePos.Add(len(name)-1).Position())
	r.report(at, "", "%s is an Alloy block that collector does not support", name)
	for _, inner := range stmt.Body {
		if b, ok := inner.(*ast.BlockStmt); ok && unsupported(t, strings.Join(b.Name, ".")) {
			r.unsupported(b, t)
		}
	}
}
