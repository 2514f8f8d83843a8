package componenttest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"collector/pkg/component"
)

// defaults checks that the configuration, and each block in it, is valid by
// default, or lacks only what is required. It notes in invalid the blocks that are
// known to be otherwise.
func (s Suite) defaults(t *testing.T, d component.Definition, invalid map[string]bool) {
	t.Helper()
	for _, p := range invalidDefaults(d.Name, d.Config(), reflect.Value{}, nil) {
		name := p.path[strings.LastIndex(p.path, " ")+1:]
		if s.Defaults[name] == "" || name == d.Name {
			t.Errorf("%s is not valid by default: %v", p.path, p.err)
		}
		invalid[name] = true
	}
}

type invalidDefault struct {
	path string
	err  error
}

// invalidDefaults finds what is wrong with the struct t where the source says
// nothing of it, and with the blocks in it. given is what the struct around it has
// set; within are the types around it.
func invalidDefaults(name string, t reflect.Type, given reflect.Value, within []reflect.Type) []invalidDefault {
	if slices.Contains(within, t) {
		return nil
	}
	within = append(slices.Clone(within), t)
	v := reflect.New(t)
	if given.IsValid() {
		v.Elem().Set(given)
	}
	if d, ok := v.Interface().(interface{ SetToDefault() }); ok {
		d.SetToDefault()
	}
	blocks := slices.Collect(blocksOf(v.Elem()))
	var found []invalidDefault
	if checked, ok := v.Interface().(interface{ Validate() error }); ok {
		for _, err := range parts(checked.Validate()) {
			if !aboutRequired(t, err) {
				found = append(found, invalidDefault{name, err})
			}
		}
	}
	for _, b := range blocks {
		found = append(found, invalidDefaults(name+" > "+b.name, b.typ, b.given, within)...)
	}
	return found
}

// parts are the errors that err joins.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

// aboutRequired reports whether err is about an argument of t, or of a block in it,
// that the source has to have.
func aboutRequired(t reflect.Type, err error) bool {
	var placed *component.PlacedError
	if !errors.As(err, &placed) {
		return false
	}
	for step := range strings.SplitSeq(placed.Path, "/") {
		name, _ := component.Step(step)
		f, ok := fieldCalled(t, name)
		if !ok {
			return false
		}
		if !f.optional {
			return true
		}
		if t = f.typ; t.Kind() != reflect.Struct {
			return false
		}
	}
	return false
}
