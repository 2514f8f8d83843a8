package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Argument is an argument or a block as the reference of the language lists it.
type Argument struct {
	Name       string
	Type       string // of an argument
	Required   bool
	Default    string // of an optional argument, as one would write it; may be empty
	File       bool   // it is the path of a file that is read
	Block      bool
	Repeatable bool       // of a block
	Recursive  bool       // of a block "x.*": it stands for those of the list that it is in
	Arguments  []Argument // of a block
}

// Describe lists what a configuration struct takes. own names the types that
// the language itself does not know.
func Describe(t reflect.Type, own func(reflect.Type) string) []Argument {
	return describe(defaultOf(t, reflect.Value{}), own, nil)
}

// defaultOf is a t as it is where the source says nothing of it.
func defaultOf(t reflect.Type, given reflect.Value) reflect.Value {
	v := reflect.New(t)
	if given.IsValid() {
		v.Elem().Set(given)
	}
	if d, ok := v.Interface().(defaulter); ok {
		d.SetToDefault()
	}
	return v.Elem()
}

// describe lists what v takes, within the lists of blocks of which the elements
// have the types in lists: a list within itself is not described again.
func describe(v reflect.Value, own func(reflect.Type) string, lists []reflect.Type) []Argument {
	var out []Argument
	for _, f := range fieldsOf(v.Type()) {
		within := lists
		if f.enum != "" {
			if slices.Contains(lists, f.typ) {
				if last := len(out) - 1; last < 0 || out[last].Name != f.enum+".*" {
					out = append(out, Argument{Name: f.enum + ".*", Block: true, Repeatable: true, Recursive: true})
				}
				continue
			}
			within = append(slices.Clip(lists), f.typ)
		}
		a := Argument{Name: f.name, Required: !f.optional, Block: f.block, File: f.file}
		if f.block {
			given := reflect.Value{}
			if f.typ.Kind() == reflect.Struct {
				given = v.FieldByIndex(f.index)
			}
			a.Repeatable = f.repeatable()
			a.Arguments = describe(defaultOf(f.structOf(), given), own, within)
		} else {
			a.Type = typeName(f.typ, own)
			if f.optional {
				a.Default = literal(v.FieldByIndex(f.index))
			}
		}
		out = append(out, a)
	}
	return out
}

// literal is v as one would write it, or "" where that would say nothing.
func literal(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Elem().Kind() == reflect.Struct {
			return ""
		}
		return literal(v.Elem())
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			part := literal(v.Index(i))
			if part == "" && v.Type().Elem().Kind() == reflect.String {
				part = `""`
			}
			parts = append(parts, part)
		}
		if len(parts) == 0 {
			return ""
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		return ""
	case reflect.String:
		if v.String() == "" {
			return ""
		}
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return strconv.Quote(shortDuration(d))
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, _ := m.MarshalText()
		return strconv.Quote(string(text))
	}
	if v.Kind() == reflect.String {
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration is d without the parts that are zero: "1m" and not "1m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
