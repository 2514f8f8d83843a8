package config

import (
	"encoding"
	"fmt"
	"reflect"
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
	Arguments  []Argument // of a block
	// As is the path ("a > b") at which a block's arguments are listed, if the
	// block is of the kind of one that it is nested in. The name of such a block
	// may be one for all of a list: "stage.*".
	As string
}

// Describe lists what a configuration struct takes. own names the types that
// the language itself does not know.
func Describe(t reflect.Type, own func(reflect.Type) string) []Argument {
	d := description{own: own, paths: map[reflect.Type]string{}}
	return d.arguments(defaultOf(t, reflect.Value{}), "")
}

// description describes a configuration struct.
type description struct {
	own func(reflect.Type) string
	// paths are the blocks that are being described, by their type, and the lists
	// of blocks, by the type of their elements.
	paths map[reflect.Type]string
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

// arguments describes v, a struct, which is the block at path.
func (d description) arguments(v reflect.Value, path string) []Argument {
	prefix := ""
	if path != "" {
		prefix = path + " > "
	}
	var out []Argument
	lists := map[reflect.Type]bool{} // those that begin here
	for _, f := range fieldsOf(v.Type()) {
		if !f.block {
			out = append(out, d.argument(f, v))
			continue
		}
		if list := f.typ; f.enum != "" && !lists[list] {
			if as, within := d.paths[list]; within {
				if last := len(out) - 1; last < 0 || out[last].As != as {
					out = append(out, Argument{Name: f.enum + ".*", Block: true, Repeatable: true, As: as})
				}
				continue
			}
			d.paths[list], lists[list] = prefix+f.enum+".*", true
			defer delete(d.paths, list)
		}
		out = append(out, d.block(f, v, prefix+f.name))
	}
	return out
}

// argument describes the argument f of v.
func (d description) argument(f field, v reflect.Value) Argument {
	a := Argument{Name: f.name, Type: typeName(f.typ, d.own), Required: !f.optional, File: f.file}
	if f.optional {
		a.Default = literal(v.FieldByIndex(f.index))
	}
	return a
}

// block describes the block f of v, which is at path.
func (d description) block(f field, v reflect.Value, path string) Argument {
	a := Argument{Name: f.name, Required: !f.optional, Block: true, Repeatable: f.repeatable()}
	t := f.structOf()
	if as, within := d.paths[t]; within {
		a.As = as
		return a
	}
	d.paths[t] = path
	defer delete(d.paths, t)
	given := reflect.Value{}
	if f.typ.Kind() == reflect.Struct {
		given = v.FieldByIndex(f.index)
	}
	a.Arguments = d.arguments(defaultOf(t, given), path)
	return a
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
