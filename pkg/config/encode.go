package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/mask"
)

// Encode is a configuration struct as JSON that may be shown: secrets are
// hidden. opaque gives what represents a value that the language itself does
// not know.
func Encode(c any, opaque func(any) (any, bool)) json.RawMessage {
	v := reflect.ValueOf(c)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	e := encoder{opaque: opaque}
	e.structure(v)
	return json.RawMessage(e.out)
}

type encoder struct {
	out    []byte
	opaque func(any) (any, bool)
}

func (e *encoder) raw(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = strconv.AppendQuote(nil, fmt.Sprintf("(%T)", v))
	}
	e.out = append(e.out, text...)
}

func (e *encoder) structure(v reflect.Value) {
	e.out = append(e.out, '{')
	first, enum, secret := true, "", makesSecret(v)
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		if f.enum != "" { // one list for all blocks of this kind
			if f.enum == enum {
				continue
			}
			f.name, enum = f.enum, f.enum
		}
		if k := value.Kind(); f.block && (k == reflect.Pointer || k == reflect.Slice) && value.IsNil() {
			continue
		}
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		e.raw(f.name)
		e.out = append(e.out, ':')
		if secret && f.name == "replacement" {
			e.hidden(value)
			continue
		}
		e.value(value, f.name)
	}
	e.out = append(e.out, '}')
}

// makesSecret reports whether v is a rule that writes to a label of which the
// value must not be shown.
func makesSecret(v reflect.Value) bool {
	for _, f := range fieldsOf(v.Type()) {
		if value := v.FieldByIndex(f.index); f.name == "target_label" && value.Kind() == reflect.String {
			return mask.HidesValue(value.String())
		}
	}
	return false
}

// groupsOnly is a replacement that has nothing of its own.
var groupsOnly = regexp.MustCompile(`^(?:\$\d+|\$\{\w+\})*$`)

// hidden writes what represents the strings in v.
func (e *encoder) hidden(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Slice:
		e.out = append(e.out, '[')
		for i := range v.Len() {
			if i > 0 {
				e.out = append(e.out, ',')
			}
			e.hidden(v.Index(i))
		}
		e.out = append(e.out, ']')
	case v.Kind() == reflect.String && groupsOnly.MatchString(v.String()):
		e.raw(v.String())
	default:
		e.raw(mask.Redacted)
	}
}

func (e *encoder) value(v reflect.Value, name string) {
	if v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			e.raw(nil)
			return
		}
	}
	if shown, ok := e.opaque(v.Interface()); ok {
		e.raw(shown)
		return
	}
	if text, ok := asText(v.Interface()); ok {
		e.raw(text)
		return
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		e.value(v.Elem(), name)
	case reflect.Struct:
		e.structure(v)
	case reflect.Slice:
		e.out = append(e.out, '[')
		for i := range v.Len() {
			if i > 0 {
				e.out = append(e.out, ',')
			}
			e.value(v.Index(i), name)
		}
		e.out = append(e.out, ']')
	case reflect.Map:
		e.object(v, name)
	case reflect.String:
		e.raw(mask.Shown(name, v.String()))
	default:
		e.raw(v.Interface())
	}
}

// asText is a value that is written as a string though its type is another.
func asText(v any) (any, bool) {
	switch v := v.(type) {
	case component.Secret:
		if v == "" {
			return "", true
		}
		return v, true
	case time.Duration:
		return shortDuration(v), true
	case encoding.TextMarshaler:
		return v, true
	}
	return nil, false
}

func (e *encoder) object(v reflect.Value, name string) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	e.out = append(e.out, '{')
	for i, key := range keys {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.raw(key.String())
		e.out = append(e.out, ':')
		if mask.HidesEntry(name, key.String()) {
			e.hidden(v.MapIndex(key))
			continue
		}
		e.value(v.MapIndex(key), key.String())
	}
	e.out = append(e.out, '}')
}
