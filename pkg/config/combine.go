package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
)

// combineMaps joins each object on the left with each on the right that has
// equal values under the keys in on. With keep, the left one is kept for each on
// the right that does not. It is the library's function, with bounds: the
// library's makes the square of what it is given, however large.
func (b *budget) combineMaps(left, right []map[string]any, on []any, keep ...bool) ([]map[string]any, error) {
	const name = "combine_maps"
	keys := make([]string, len(on))
	for i, key := range on {
		text, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("%s: merge condition %d is not a string", name, i+1)
		}
		keys[i] = text
	}
	switch {
	case len(keep) > 1:
		return nil, fmt.Errorf("%s takes 3 or 4 arguments, not %d", name, 3+len(keep))
	case len(keys) == 0:
		return nil, errors.New(name + ": merge conditions must not be empty")
	case len(left)*len(right) > maxPairs:
		return nil, fmt.Errorf("%s would compare %d objects with %d others; it compares at most %d pairs", name, len(left), len(right), maxPairs)
	}
	out, size := []map[string]any{}, 0
	for _, l := range left {
		for _, r := range right {
			var object map[string]any
			switch {
			case matches(l, r, keys):
				object = make(map[string]any, len(l)+len(r))
				maps.Copy(object, l)
				maps.Copy(object, r)
			case len(keep) > 0 && keep[0]:
				object = l
			default:
				continue
			}
			size += measure(object, maxResult)
			if err := b.fits(name, size); err != nil {
				return nil, err
			}
			out = append(out, object)
		}
	}
	return out, b.take(name, size)
}

func matches(l, r map[string]any, keys []string) bool {
	for _, key := range keys {
		left, ok := l[key]
		if !ok {
			return false
		}
		right, ok := r[key]
		if !ok || !equal(left, right) {
			return false
		}
	}
	return true
}

// equal compares as the library does, and lists and objects too, on which the library
// panics.
func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		text, ok := b.(string)
		return ok && a == text
	case *Opaque:
		return a == b
	}
	return reflect.DeepEqual(a, b)
}
