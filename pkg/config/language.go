package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/grafana/alloy/syntax/alloytypes"
	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/diag"
	"github.com/grafana/alloy/syntax/token"
	"github.com/grafana/alloy/syntax/vm"

	"collector/pkg/component"
)

// Language is the functions and constants that every expression may use:
// Alloy's, in both spellings.
type Language struct {
	variables map[string]any // as the library has them, which bounds nothing
}

// NewLanguage makes the language as constants.version tells it.
func NewLanguage(version string) *Language {
	v := map[string]any{}
	var library *vm.Scope
	if constants, ok := library.Lookup("constants"); ok {
		if c, ok := constants.(map[string]string); ok {
			c = maps.Clone(c)
			c["version"] = version
			v["constants"] = c
		}
	}
	// The library's decoders give bytes, which an expression would take for a
	// list of numbers.
	if encoding, ok := library.Lookup("encoding"); ok {
		if e, ok := encoding.(map[string]any); ok {
			e = maps.Clone(e)
			for name, f := range e {
				e[name] = textual(f)
			}
			v["encoding"] = e
		}
	}
	if decode, ok := library.Lookup("base64_decode"); ok {
		v["base64_decode"] = textual(decode)
	}
	for _, name := range []string{"json_decode", "yaml_decode", "json_path", "concat"} {
		v[name], _ = library.Lookup(name)
	}
	environment(v, library)
	return &Language{variables: v}
}

// functions returns the variables for one expression, whose functions share a
// budget.
func (l *Language) functions() map[string]any {
	variables := maps.Clone(l.variables)
	var library *vm.Scope
	b := budget{left: maxExpression}
	b.bound(variables, library)
	return variables
}

// environment makes the values of environment variables part of the language: each
// is read once.
func environment(v map[string]any, library *vm.Scope) {
	var mu sync.Mutex
	known := map[string]string{}
	read := func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		if value, ok := known[name]; ok {
			return value
		}
		known[name] = os.Getenv(name)
		return known[name]
	}
	if sys, ok := library.Lookup("sys"); ok {
		if s, ok := sys.(map[string]any); ok {
			s = maps.Clone(s)
			s["env"] = read
			v["sys"] = s
		}
	}
	if _, ok := library.Lookup("env"); ok {
		v["env"] = read
	}
}

func textual(f any) any {
	decode, ok := f.(func(string) ([]byte, error))
	if !ok {
		return f
	}
	return func(in string) (string, error) {
		text, err := decode(in)
		return string(text), err
	}
}

// Opaque is a value that expressions can pass along but not look into: a
// receiver, relabeling rules, a live set of targets.
type Opaque struct {
	Value any
	Path  string // the reference that gave it, such as loki.write.default.receiver
	Is    string // what it is, in words, such as "a receiver of logs"; may be empty
	Owner string // the id of the component that exports it
}

func (o *Opaque) String() string {
	if o.Is == "" {
		return o.Path
	}
	return o.Path + " (" + o.Is + ")"
}

// AlloyCapsule marks the type for the evaluator.
func (*Opaque) AlloyCapsule() {}

// evaluate gives the value of e, in which the names in scope, nested maps,
// are known. The value is made of nil, bool, int, int64, uint64, float64,
// string, []any, map[string]any, component.Secret, *Opaque and functions.
func (l *Language) evaluate(e ast.Expr, scope map[string]any) (value any, err error) {
	variables := l.functions()
	maps.Copy(variables, scope)
	err = guard(func() error { return vm.New(e).Evaluate(vm.NewScope(variables), &value) })
	if err != nil {
		return nil, err
	}
	value = fromLibrary(value)
	if measure(value, maxExpression) > maxExpression {
		return nil, fmt.Errorf("its value is larger than %d MiB", maxExpression>>20)
	}
	return value, nil
}

// fromLibrary replaces the language's own secrets by ours.
func fromLibrary(v any) any {
	switch v := v.(type) {
	case alloytypes.Secret:
		return component.Secret(v)
	case *alloytypes.Secret:
		return component.Secret(*v)
	case alloytypes.OptionalSecret:
		return fromOptional(v)
	case *alloytypes.OptionalSecret:
		return fromOptional(*v)
	case []any:
		for i := range v {
			v[i] = fromLibrary(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = fromLibrary(v[k])
		}
	}
	return v
}

func fromOptional(s alloytypes.OptionalSecret) any {
	if s.IsSecret {
		return component.Secret(s.Value)
	}
	return s.Value
}

// toLibrary replaces our secrets by the language's own.
func toLibrary(v any) any {
	if s, ok := v.(component.Secret); ok {
		return alloytypes.Secret(s)
	}
	return v
}

// evaluationError says what is wrong with e, at the part of it that is at
// fault where the evaluator tells.
func (l *Language) evaluationError(f *file, e ast.Expr, err error) Diagnostic {
	var d diag.Diagnostic
	if errors.As(err, &d) && d.StartPos.Line > 0 {
		return Diagnostic{At: f.at(d.StartPos, d.EndPos), Message: d.Message, Accepted: l.fieldsAt(e, d.StartPos)}
	}
	if errors.As(err, &d) {
		return Diagnostic{At: f.node(e), Message: d.Message}
	}
	return Diagnostic{At: f.node(e), Message: fmt.Sprintf("this expression cannot be evaluated: %v", err)}
}

// fieldsAt lists the fields of the language's own object, such as sys, of which
// e names one at pos; it is empty if e does not.
func (l *Language) fieldsAt(e ast.Expr, pos token.Position) string {
	if access, ok := e.(*ast.AccessExpr); ok && access.Name.NamePos.Position() == pos {
		path := accessPath(access.Value)
		if len(path) != 1 {
			return ""
		}
		object, _ := vm.NewScope(l.variables).Lookup(path[0])
		var names []string
		if v := reflect.ValueOf(object); v.Kind() == reflect.Map {
			for _, key := range v.MapKeys() {
				names = append(names, path[0]+"."+key.String())
			}
		}
		slices.Sort(names)
		return strings.Join(names, ", ")
	}
	for _, child := range children(e) {
		if found := l.fieldsAt(child, pos); found != "" {
			return found
		}
	}
	return ""
}
