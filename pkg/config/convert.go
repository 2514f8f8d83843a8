package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/alloy/syntax/ast"

	"collector/pkg/component"
)

// convert stores value in v. e is where value comes from: where a list or an
// object is written out, an error is reported at the element that is at fault.
// name is the argument's, with the path to the element.
func (r *decoding) convert(value any, v reflect.Value, e ast.Expr, name string) {
	t := v.Type()
	isAny := t == reflect.TypeFor[any]()
	if hook := r.Values[t]; hook != nil {
		made, err := hook(value)
		if err != nil {
			r.report(r.file.node(e), "", "%s: %v", name, err)
		} else if made != nil {
			v.Set(reflect.ValueOf(made))
		}
		return
	}
	if value == nil && !isAny {
		v.SetZero()
		return
	}
	_, secret := value.(component.Secret)
	if secret && !isAny && !holdsSecret(t) && t.Kind() != reflect.Pointer {
		r.report(r.file.node(e), "", "%s takes %s and would show what is secret; convert.nonsensitive(...) allows that", name, r.typeWords(t))
		return
	}
	switch {
	case isAny:
		if value != nil {
			v.Set(reflect.ValueOf(value))
		}
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		r.convert(value, v.Elem(), e, name)
	case t == reflect.TypeFor[time.Duration](), readsText(t):
		r.convertText(value, v, e, name)
	case t.Kind() == reflect.Slice:
		r.convertList(value, v, e, name)
	case t.Kind() == reflect.Map:
		r.convertMap(value, v, e, name)
	default:
		r.convertScalar(value, v, e, name)
	}
}

func (r *decoding) mismatch(value any, t reflect.Type, e ast.Expr, name string) {
	got := InWords(value)
	if _, text := value.(string); text && holdsSecret(t) {
		got = "a string"
	}
	r.report(r.file.node(e), "", "%s takes %s, got %s", name, r.typeWords(t), got)
}

func (r *decoding) convertText(value any, v reflect.Value, e ast.Expr, name string) {
	text, ok := textOf(value)
	if !ok {
		r.mismatch(value, v.Type(), e, name)
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		duration, err := time.ParseDuration(text)
		if err != nil {
			r.report(r.file.node(e), "", "%s: %q is not a duration: write numbers with units, such as \"30s\" or \"1m30s\" (ns, us, ms, s, m, h)", name, text)
			return
		}
		v.SetInt(int64(duration))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		r.report(r.file.node(e), "", "%s: %v", name, err)
	}
}

func (r *decoding) convertList(value any, v reflect.Value, e ast.Expr, name string) {
	list, ok := value.([]any)
	if !ok {
		if o, opaque := value.(*Opaque); opaque {
			r.report(r.file.node(e), "["+o.Path+"]", "%s takes %s; write it in brackets", name, r.typeWords(v.Type()))
			return
		}
		r.mismatch(value, v.Type(), e, name)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	written, _ := e.(*ast.ArrayExpr)
	for i, element := range list {
		at := e
		if written != nil && len(written.Elements) == len(list) {
			at = written.Elements[i]
		}
		r.convert(element, out.Index(i), at, fmt.Sprintf("%s[%d]", name, i))
	}
	v.Set(out)
}

func (r *decoding) convertMap(value any, v reflect.Value, e ast.Expr, name string) {
	object, ok := value.(map[string]any)
	if !ok || v.Type().Key().Kind() != reflect.String {
		r.mismatch(value, v.Type(), e, name)
		return
	}
	written := map[string]ast.Expr{}
	if o, ok := e.(*ast.ObjectExpr); ok {
		for _, f := range o.Fields {
			written[f.Name.Name] = f.Value
		}
	}
	out := reflect.MakeMapWithSize(v.Type(), len(object))
	for key, element := range object {
		at := written[key]
		if at == nil {
			at = e
		}
		into := reflect.New(v.Type().Elem()).Elem()
		r.convert(element, into, at, fmt.Sprintf("%s[%q]", name, key))
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), into)
	}
	v.Set(out)
}

func (r *decoding) convertScalar(value any, v reflect.Value, e ast.Expr, name string) {
	ok := false
	switch v.Kind() {
	case reflect.String:
		var text string
		if text, ok = textOf(value); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		var b bool
		if b, ok = value.(bool); ok {
			v.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		if _, bad := value.(bool); !bad {
			ok = setNumber(value, v)
		}
	default:
		panic(fmt.Sprintf("BUG: argument %s has the type %s, which the configuration language cannot express", name, v.Type()))
	}
	if !ok {
		r.mismatch(value, v.Type(), e, name)
	}
}

// textOf is the string that the language makes of a string, a secret or a
// number.
func textOf(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case component.Secret:
		return string(value), true
	case int:
		return strconv.Itoa(value), true
	case int64:
		return strconv.FormatInt(value, 10), true
	case uint64:
		return strconv.FormatUint(value, 10), true
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), true
	}
	return "", false
}

// readsText reports whether values of type t are read from text.
func readsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// setNumber stores a number, or a string that is one, unless v cannot hold it
// exactly.
func setNumber(value any, v reflect.Value) bool {
	if _, secret := value.(component.Secret); secret {
		return false
	}
	text, ok := textOf(value)
	if !ok {
		return false
	}
	f, floatErr := strconv.ParseFloat(text, 64)
	switch {
	case v.CanFloat():
		if floatErr != nil || v.OverflowFloat(f) {
			return false
		}
		v.SetFloat(f)
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil && floatErr == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			i, err = int64(f), nil
		}
		if err != nil || v.OverflowInt(i) {
			return false
		}
		v.SetInt(i)
	default:
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil && floatErr == nil && f == math.Trunc(f) && f >= 0 && f < 1<<53 {
			u, err = uint64(f), nil
		}
		if err != nil || v.OverflowUint(u) {
			return false
		}
		v.SetUint(u)
	}
	return true
}

// holdsSecret reports whether values of type t are, or hold, secrets.
func holdsSecret(t reflect.Type) bool {
	switch {
	case t == reflect.TypeFor[component.Secret]():
		return true
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		return holdsSecret(t.Elem())
	}
	return false
}

// InWords says what a value of an expression is.
func InWords(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		if len(value) > 40 {
			return "a string"
		}
		return fmt.Sprintf("the string %q", value)
	case component.Secret:
		return "a secret"
	case bool:
		return strconv.FormatBool(value)
	case int, int64, uint64, float64:
		text, _ := textOf(value)
		return "the number " + text
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case *Opaque:
		return value.String()
	}
	if reflect.TypeOf(value).Kind() == reflect.Func {
		return "a function that is not called"
	}
	return "a value of another kind"
}

// typeWords says in words what values type t has.
func (r *decoding) typeWords(t reflect.Type) string {
	switch word := r.typeWord(t); {
	case strings.HasPrefix(word, "list("):
		return "a list of " + strings.TrimSuffix(strings.TrimPrefix(word, "list("), ")") + " values"
	case strings.HasPrefix(word, "map("):
		return "an object of " + strings.TrimSuffix(strings.TrimPrefix(word, "map("), ")") + " values"
	case word == "bool":
		return "true or false"
	case word == "int":
		return "a whole number" + limits(t)
	case word == "uint":
		return "a whole number from 0" + limits(t)
	case word == "duration":
		return "a duration such as \"30s\""
	case word == "size":
		return "a size such as \"4MiB\""
	default:
		return "a " + word
	}
}

// limits says how far a small number type reaches.
func limits(t reflect.Type) string {
	switch {
	case t.Kind() < reflect.Int || t.Kind() > reflect.Uint64 || t.Bits() == 64:
		return ""
	case t.Kind() >= reflect.Uint:
		return fmt.Sprintf(" to %d", uint64(1)<<t.Bits()-1)
	}
	half := int64(1) << (t.Bits() - 1)
	return fmt.Sprintf(" from %d to %d", -half, half-1)
}

func (r *decoding) typeWord(t reflect.Type) string { return typeName(t, r.TypeName) }

// typeName is the name of t in the reference of the language. own names the
// types that the language itself does not know.
func typeName(t reflect.Type, own func(reflect.Type) string) string {
	if own != nil {
		if name := own(t); name != "" {
			return name
		}
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[component.Secret]():
		return "secret"
	case t == reflect.TypeFor[component.Bytes]():
		return "size"
	case t == reflect.TypeFor[any]():
		return "any"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem(), own)
	case readsText(t):
		return "string"
	case t.Kind() == reflect.Slice:
		return "list(" + typeName(t.Elem(), own) + ")"
	case t.Kind() == reflect.Map:
		return "map(" + typeName(t.Elem(), own) + ")"
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool:
		return t.Kind().String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "uint"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	panic(fmt.Sprintf("BUG: the configuration language has no name for the type %s", t))
}
