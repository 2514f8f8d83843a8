package graph

import (
	"reflect"
	"slices"

	"collector/pkg/component"
	"collector/pkg/config"
)

// value is what a reference leads to, as it goes through scopes.
type value struct {
	// raw is a plain value, in which receivers and the like are *config.Opaque, a
	// pipeline.Live, or an export that only components look into.
	raw any
	// deps are the nodes that it was made by: its users start after them, stop before
	// them, and are rebuilt with them.
	deps []*node
	// from are the ids of the components that it comes from.
	from []string
}

// merged adds what other was made of to v.
func (v *value) merged(other value) {
	for _, n := range other.deps {
		if !slices.Contains(v.deps, n) {
			v.deps = append(v.deps, n)
		}
	}
	for _, id := range other.from {
		if !slices.Contains(v.from, id) {
			v.from = append(v.from, id)
		}
	}
}

// anyValue is an argument of the blocks that are the language's own, which may
// have any value.
type anyValue struct{ value }

// valueUsed is a value that a node was built with.
type valueUsed struct {
	ref config.Reference
	raw any
	// content means that raw is what a live value was.
	content bool
}

// same reports whether a and b are the same value: of what components look into,
// the same one.
func same(a, b any) bool {
	switch a := a.(type) {
	case *config.Opaque:
		b, ok := b.(*config.Opaque)
		return ok && a.Path == b.Path && same(a.Value, b.Value)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			if w, ok := b[name]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	}
	if isPlain(a) || isPlain(b) {
		return reflect.DeepEqual(a, b)
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b
}

// isPlain reports whether v is of a type that expressions can look into.
func isPlain(v any) bool {
	if _, secret := v.(component.Secret); v == nil || secret {
		return true
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Bool, reflect.String, reflect.Slice, reflect.Map, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// eachOpaque is v with f applied to all in it that expressions cannot look into.
func eachOpaque(v any, f func(*config.Opaque) *config.Opaque) any {
	switch v := v.(type) {
	case *config.Opaque:
		return f(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = eachOpaque(v[i], f)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = eachOpaque(v[name], f)
		}
		return out
	}
	return v
}

// generic is a list or an object of any Go type as expressions make them.
func generic(v any) any {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice:
		out := make([]any, r.Len())
		for i := range out {
			out[i] = generic(r.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := make(map[string]any, r.Len())
		for _, name := range r.MapKeys() {
			out[name.String()] = generic(r.MapIndex(name).Interface())
		}
		return out
	}
	return v
}
