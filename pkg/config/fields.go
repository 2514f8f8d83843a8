package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// field is one argument or block of a configuration struct.
type field struct {
	name     string
	block    bool
	optional bool
	index    []int // for reflect.Value.FieldByIndex
	typ      reflect.Type
	file     bool // the argument is the path of a file that is read
	// enum is the first part of the names "stage.json", "stage.labels" … of
	// blocks that are in one list, in the order of the source. Of an element
	// of that list, variant is the field that this block sets, a pointer.
	enum    string
	variant int
}

// fieldsOf reads the tags of t, a struct. A squashed struct's fields are taken
// for t's own.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("alloy")
		if !ok {
			continue
		}
		parts := strings.Split(tag, ",")
		options := parts[1:]
		if slices.Contains(options, "label") {
			continue
		}
		if slices.Contains(options, "squash") {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		}
		if slices.Contains(options, "enum") {
			for _, inner := range fieldsOf(f.Type.Elem()) {
				fields = append(fields, field{
					name: parts[0] + "." + inner.name, block: true, optional: true, index: f.Index, typ: f.Type,
					enum: parts[0], variant: inner.index[0],
				})
			}
			continue
		}
		block, attr := slices.Contains(options, "block"), slices.Contains(options, "attr")
		if block == attr || parts[0] == "" {
			panic(fmt.Sprintf("BUG: field %s of %s has the tag %q, which is neither an attr nor a block", f.Name, t, tag))
		}
		fields = append(fields, field{
			name: parts[0], block: block, optional: slices.Contains(options, "optional"), index: f.Index, typ: f.Type,
			file: slices.Contains(options, "file"),
		})
	}
	return fields
}

// structOf is the struct that a block of this field decodes into.
func (f field) structOf() reflect.Type {
	t := f.typ
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if f.enum != "" {
		t = t.Field(f.variant).Type
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: block %s has type %s, which is no struct", f.name, f.typ))
	}
	return t
}

// labelOf is the field of t, a struct, that is the label of its block; nil: the block
// has none.
func labelOf(t reflect.Type) []int {
	for i := range t.NumField() {
		f := t.Field(i)
		if _, options, _ := strings.Cut(f.Tag.Get("alloy"), ","); options == "label" {
			return f.Index
		}
	}
	return nil
}

func (f field) repeatable() bool { return f.typ.Kind() == reflect.Slice }

func lookup(fields []field, name string) (field, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// unsupported reports whether the struct t has a list of blocks to which a block
// of this name belongs, and whose element type says that it is one that Alloy
// has: by a method Unsupported, which gives the names without their first part.
func unsupported(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		enum, options, _ := strings.Cut(f.Tag.Get("alloy"), ",")
		rest, ok := strings.CutPrefix(name, enum+".")
		if !ok || !slices.Contains(strings.Split(options, ","), "enum") {
			continue
		}
		if u, ok := reflect.Zero(f.Type.Elem()).Interface().(interface{ Unsupported() []string }); ok {
			return slices.Contains(u.Unsupported(), rest)
		}
	}
	return false
}

// acceptedNames lists fields for a message.
func acceptedNames(fields []field) string {
	if len(fields) == 0 {
		return "nothing: it takes no arguments and no blocks"
	}
	var names []string
	for _, f := range fields {
		if f.block {
			names = append(names, f.name+" (block)")
		} else {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// whereNested finds name in the blocks below fields, and returns the path of
// the block that takes it. Blocks that hold blocks of their own kind are looked
// into once.
func whereNested(fields []field, name string) string {
	return whereBelow(fields, name, map[reflect.Type]bool{})
}

func whereBelow(fields []field, name string, seen map[reflect.Type]bool) string {
	var further []field
	for _, f := range fields {
		if !f.block || seen[f.structOf()] {
			continue
		}
		seen[f.structOf()] = true
		if _, ok := lookup(fieldsOf(f.structOf()), name); ok {
			return f.name
		}
		further = append(further, f)
	}
	for _, f := range further {
		if path := whereBelow(fieldsOf(f.structOf()), name, seen); path != "" {
			return f.name + " > " + path
		}
	}
	return ""
}
