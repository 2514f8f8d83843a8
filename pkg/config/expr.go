package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
)

// ErrReported represents an error that has been reported already: who gets it
// reports nothing.
var ErrReported = errors.New("reported already")

// Resolver gives the value that a reference leads to, and how many names of
// the path lead there; what is left of the path is a field of that value. The
// value is a plain one (nil, bool, number, string, component.Secret, or maps
// and slices of such) or *Opaque. Its error is ErrReported, Diagnostics, or one
// whose text is reported at the reference.
type Resolver func(Reference) (value any, names int, err error)

// Expr is the expression of one attribute.
type Expr struct {
	file     *file
	expr     ast.Expr
	refs     []Reference
	language *Language
}

// At is the position of the expression.
func (e *Expr) At() Range { return e.file.node(e.expr) }

// Text is the expression in the canonical layout, as it may be shown: what
// looks like a credential is masked.
func (e *Expr) Text() string {
	text, _ := render(e.expr)
	return maskLine(string(text))
}

// References are the values of other blocks that the expression refers to.
func (e *Expr) References() []Reference { return e.refs }

// Reference returns the reference that e consists of, if it is nothing else.
func (e *Expr) Reference() (Reference, bool) {
	expr := e.expr
	for {
		paren, ok := expr.(*ast.ParenExpr)
		if !ok {
			break
		}
		expr = paren.Inner
	}
	if len(e.refs) == 1 && accessPath(expr) != nil {
		return e.refs[0], true
	}
	return Reference{}, false
}

// Evaluate gives the value of e, made of nil, bool, int, int64, uint64,
// float64, string, []any, map[string]any, component.Secret and *Opaque.
func (e *Expr) Evaluate(resolve Resolver) (any, Diagnostics) {
	scope, ds := e.scope(resolve)
	if ds != nil {
		return nil, ds
	}
	value, err := e.language.evaluate(e.expr, scope)
	if err != nil {
		return nil, Diagnostics{e.language.evaluationError(e.file, e.expr, err)}
	}
	return value, nil
}

// scope resolves the references of e. Its diagnostics are empty but not nil
// when an error has been reported already.
func (e *Expr) scope(resolve Resolver) (map[string]any, Diagnostics) {
	scope := namespace{}
	var ds Diagnostics
	size := 0
	for _, r := range e.refs {
		value, names, err := resolve(r)
		size += measure(value, maxExpression)
		if err == nil && size > maxExpression {
			err = fmt.Errorf("the values that this expression refers to are larger than %d MiB together", maxExpression>>20)
		}
		if err == nil {
			err = put(scope, r.Path[:names], toLibrary(value))
		}
		if err != nil && ds == nil {
			ds = Diagnostics{}
		}
		var found Diagnostics
		switch {
		case err == nil, errors.Is(err, ErrReported):
		case errors.As(err, &found):
			ds = append(ds, found...)
		default:
			ds = append(ds, Diagnostic{At: r.At, Message: err.Error()})
		}
	}
	return scope, ds
}

// namespace holds what is known below a name; it is no value itself.
type namespace map[string]any

// put stores value in nested namespaces below path.
func put(scope namespace, path []string, value any) error {
	for i, name := range path[:len(path)-1] {
		next, ok := scope[name].(namespace)
		if !ok {
			if scope[name] != nil {
				return fmt.Errorf("%s is a value and cannot have %s", strings.Join(path[:i+1], "."), strings.Join(path[i+1:], "."))
			}
			next = namespace{}
			scope[name] = next
		}
		scope = next
	}
	scope[path[len(path)-1]] = value
	return nil
}
