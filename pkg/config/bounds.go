package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grafana/alloy/syntax/vm"

	"collector/pkg/component"
)

// A few lines of configuration that replace each letter by a thousand, again and
// again, would cost the program its memory. So there are bounds, in bytes as
// measure counts them.
const (
	// maxResult bounds what one call of a function returns.
	maxResult = 16 << 20
	// maxExpression bounds what all calls in one expression return, what the
	// references in it lead to, and its value.
	maxExpression = 64 << 20
	// maxPairs bounds how many pairs of objects combine_maps compares.
	maxPairs = 16 << 20
)

// sizeOfValue is what a value counts for beside its text.
const sizeOfValue = 16

// measure returns the size of v, or a number above limit once that is passed.
func measure(v any, limit int) int {
	size := sizeOfValue
	switch v := v.(type) {
	case string:
		size += len(v)
	case component.Secret:
		size += len(v)
	case []any:
		for _, element := range v {
			if size > limit {
				break
			}
			size += measure(element, limit-size)
		}
	case map[string]any:
		for key, element := range v {
			if size > limit {
				break
			}
			size += len(key) + measure(element, limit-size)
		}
	case []map[string]string: // targets
		for _, object := range v {
			if size > limit {
				break
			}
			size += sizeOfValue
			for key, text := range object {
				size += len(key) + len(text) + sizeOfValue
			}
		}
	default:
		if text := reflect.ValueOf(v); text.Kind() == reflect.String { // a secret of the language's own
			size += text.Len()
		}
	}
	return size
}

// budget is what the functions in one expression may still make.
type budget struct{ left int }

// fits reports an error if a result of that size is too large.
func (b *budget) fits(name string, size int) error {
	if size > maxResult {
		return fmt.Errorf("the result of %s would be larger than %d MiB", name, maxResult>>20)
	}
	if size > b.left {
		return fmt.Errorf("with the result of %s, the functions in this expression would produce more than %d MiB: split it, or shorten its result", name, maxExpression>>20)
	}
	return nil
}

func (b *budget) take(name string, size int) error {
	if err := b.fits(name, size); err != nil {
		return err
	}
	b.left -= size
	return nil
}

// bound replaces the functions of the library that make large values from small ones, in
// both spellings, by ones that stop at the bounds.
func (b *budget) bound(v map[string]any, library *vm.Scope) {
	for name, f := range map[string]any{
		"replace": b.replace, "join": b.join, "format": b.format, "split": b.split,
		"to_lower": b.text("to_lower", noError(strings.ToLower)), "to_upper": b.text("to_upper", noError(strings.ToUpper)),
		"json_decode": b.decoder("json_decode", jsonSize, v["json_decode"]),
		"yaml_decode": b.decoder("yaml_decode", yamlSize, v["yaml_decode"]),
		"json_path":   b.jsonPath(v["json_path"]),
		"concat":      b.concat(v["concat"]),
	} {
		v[name] = f
	}
	if decode, ok := v["base64_decode"].(func(string) (string, error)); ok {
		v["base64_decode"] = b.text("base64_decode", decode)
	}
	nested(v, library, "string", func(functions map[string]any) {
		for name := range functions {
			switch name {
			case "replace", "join", "format", "split", "to_lower", "to_upper":
				functions[name] = v[name]
			}
		}
	})
	nested(v, library, "array", func(functions map[string]any) {
		functions["concat"], functions["combine_maps"] = v["concat"], b.combineMaps
	})
	nested(v, library, "file", func(functions map[string]any) { functions["path_join"] = b.pathJoin })
	nested(v, library, "encoding", b.boundEncoding)
}

// nested changes a copy of the functions below a name, and puts it into v.
func nested(v map[string]any, library *vm.Scope, name string, change func(map[string]any)) {
	functions, ok := v[name].(map[string]any)
	if !ok {
		found, _ := library.Lookup(name)
		functions, _ = found.(map[string]any)
	}
	functions = maps.Clone(functions)
	change(functions)
	v[name] = functions
}

func (b *budget) boundEncoding(functions map[string]any) {
	for name, f := range functions {
		switch f := f.(type) {
		case func(string) (string, error):
			functions[name] = b.text("encoding."+name, f)
		case func(any) (string, error):
			functions[name] = b.encoder("encoding."+name, f)
		case func(string) (any, error):
			size := jsonSize
			if name == "from_yaml" {
				size = yamlSize
			}
			functions[name] = b.decoder("encoding."+name, size, f)
		}
	}
}

func noError(f func(string) string) func(string) (string, error) {
	return func(in string) (string, error) { return f(in), nil }
}

// text bounds a function that makes a text of another that may be a few times
// as long.
func (b *budget) text(name string, f func(string) (string, error)) func(string) (string, error) {
	return func(in string) (string, error) {
		if err := b.fits(name, len(in)); err != nil {
			return "", err
		}
		out, err := f(in)
		if err != nil {
			return "", err
		}
		return out, b.take(name, len(out))
	}
}

func (b *budget) encoder(name string, f func(any) (string, error)) func(any) (string, error) {
	return func(in any) (string, error) {
		if err := b.fits(name, measure(in, maxResult)); err != nil {
			return "", err
		}
		out, err := f(in)
		if err != nil {
			return "", err
		}
		return out, b.take(name, len(out))
	}
}

// decoder bounds f, which makes values of a text whose values reckoned counts,
// before and after: aliases of YAML make more of it.
func (b *budget) decoder(name string, reckoned func(string) int, f any) any {
	decode, ok := f.(func(string) (any, error))
	if !ok {
		return f
	}
	return func(in string) (any, error) {
		if err := b.fits(name, reckoned(in)); err != nil {
			return nil, err
		}
		out, err := decode(in)
		if err != nil {
			return nil, err
		}
		return out, b.take(name, measure(out, maxResult))
	}
}

// jsonSize is at least the size of the values in a JSON text.
func jsonSize(text string) int {
	values, _ := jsonShape(text)
	return len(text) + values*sizeOfValue
}

// jsonShape returns how many values a JSON text has at most, and how deep they
// are nested.
func jsonShape(text string) (values, depth int) {
	quoted, level := false, 0
	values = 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			values++
		case c == '[' || c == '{':
			values++
			level++
			depth = max(depth, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return values, depth
}

// sizeOfNode is what the parser of YAML makes of a value.
const sizeOfNode = 64

// yamlSize is at least the size of the nodes in a YAML text, aliases aside.
func yamlSize(text string) int {
	nodes := 0
	for i := range len(text) {
		switch text[i] {
		case ',', ':', '[', '{', '-', '?', '\n':
			nodes++
		}
	}
	return len(text) + nodes*sizeOfNode
}

// jsonPath bounds json_path, whose recursive descents and unions give the same
// values many times.
func (b *budget) jsonPath(f any) any {
	get, ok := f.(func(string, string) ([]any, error))
	if !ok {
		return f
	}
	return func(text, path string) ([]any, error) {
		if err := b.fits("json_path", jsonSize(text)); err != nil {
			return nil, err
		}
		values, depth := jsonShape(text)
		found := float64(values)
		for range strings.Count(path, "..") - 1 {
			found *= float64(depth + 1)
		}
		for _, step := range strings.Split(path, "[") {
			found *= float64(strings.Count(step, ",") + 1)
		}
		if err := b.fits("json_path", int(min(found*sizeOfValue, maxResult+1))); err != nil {
			return nil, err
		}
		out, err := get(text, path)
		if err != nil {
			return nil, err
		}
		return out, b.take("json_path", measure(out, maxResult))
	}
}

func (b *budget) replace(s, old, new string) (string, error) {
	size := len(s)
	if n := strings.Count(s, old); len(new) > len(old) {
		size += n * (len(new) - len(old))
	}
	if err := b.take("replace", size); err != nil {
		return "", err
	}
	return strings.ReplaceAll(s, old, new), nil
}

func (b *budget) join(parts []string, separator string) (string, error) {
	size := len(separator) * len(parts)
	for _, p := range parts {
		size += len(p)
	}
	if err := b.take("join", size); err != nil {
		return "", err
	}
	return strings.Join(parts, separator), nil
}

func (b *budget) pathJoin(parts ...string) (string, error) {
	size := len(parts)
	for _, p := range parts {
		size += len(p)
	}
	if err := b.take("path_join", size); err != nil {
		return "", err
	}
	return filepath.Join(parts...), nil
}

func (b *budget) split(text, separator string) ([]string, error) {
	parts := strings.Count(text, separator) + 1
	if separator == "" {
		parts = utf8.RuneCountInString(text)
	}
	if err := b.take("split", len(text)+parts*sizeOfValue); err != nil {
		return nil, err
	}
	return strings.Split(text, separator), nil
}

// width is a number in a format, or the star that takes it from an argument.
var width = regexp.MustCompile(`[0-9]+|\*`)

// maxWidth is the largest width that fmt takes.
const maxWidth = 1e6

// format is Sprintf. What it may return at most is reckoned before.
func (b *budget) format(text string, args ...any) (string, error) {
	longest := 0
	for _, a := range args {
		longest = max(longest, 4*measure(a, maxResult)) // with %q or %x
	}
	size := len(text) + strings.Count(text, "%")*(longest+64)
	for _, w := range width.FindAllString(text, -1) {
		n, err := strconv.Atoi(w)
		if err != nil || n > maxWidth {
			n = maxWidth
		}
		size += n
	}
	if err := b.fits("format", size); err != nil {
		return "", err
	}
	out := fmt.Sprintf(text, args...)
	return out, b.take("format", len(out))
}

// concat bounds the library's own, which joins lists without looking into them.
// Its type is internal to the library, so it is called by reflection.
func (b *budget) concat(f any) any {
	library := reflect.ValueOf(f)
	return reflect.MakeFunc(library.Type(), func(in []reflect.Value) []reflect.Value {
		size := 0
		for _, arg := range in[1].Seq2() {
			if list, ok := arg.Interface().(interface{ Reflect() reflect.Value }); ok && list.Reflect().Kind() == reflect.Slice {
				size += list.Reflect().Len() * sizeOfValue
			}
		}
		if err := b.take("concat", size); err != nil {
			return []reflect.Value{reflect.Zero(library.Type().Out(0)), reflect.ValueOf(&err).Elem()}
		}
		return library.CallSlice(in)
	}).Interface()
}
