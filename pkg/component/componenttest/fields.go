package componenttest

import (
	"iter"
	"reflect"
	"slices"
	"strings"
)

// field is an argument or a block of a configuration struct.
type field struct {
	name     string
	optional bool
	block    bool
	typ      reflect.Type  // of a block, the struct
	given    reflect.Value // of a block that is a struct itself, what the one around it holds
}

// fieldsOf reads the tags of v, a struct, as package component describes them.
func fieldsOf(v reflect.Value) iter.Seq[field] {
	return func(yield func(field) bool) {
		for i := range v.NumField() {
			tag, ok := v.Type().Field(i).Tag.Lookup("alloy")
			if !ok {
				continue
			}
			words := strings.Split(tag, ",")
			has := func(word string) bool { return slices.Contains(words[1:], word) }
			f := field{name: words[0], optional: has("optional"), block: has("block"), typ: v.Field(i).Type()}
			switch {
			case has("label"):
				continue
			case has("squash"):
				for inner := range fieldsOf(v.Field(i)) {
					if !yield(inner) {
						return
					}
				}
				continue
			case has("enum"):
				for inner := range fieldsOf(reflect.New(f.typ.Elem()).Elem()) {
					inner.name, inner.optional = words[0]+"."+inner.name, true
					if !yield(inner) {
						return
					}
				}
				continue
			case f.block:
				f.typ, f.given = structOf(v.Field(i))
			}
			if !yield(f) {
				return
			}
		}
	}
}

func structOf(v reflect.Value) (reflect.Type, reflect.Value) {
	t := v.Type()
	if t.Kind() == reflect.Struct {
		return t, v
	}
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, reflect.Value{}
}

func blocksOf(v reflect.Value) iter.Seq[field] {
	return func(yield func(field) bool) {
		for f := range fieldsOf(v) {
			if f.block && !yield(f) {
				return
			}
		}
	}
}

func fieldCalled(t reflect.Type, name string) (field, bool) {
	for f := range fieldsOf(reflect.New(t).Elem()) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}
