package config

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/grafana/alloy/syntax/vm"
)

// maxResult bounds the text that a function of the language returns: a few lines
// that replace each letter by a thousand, again and again, would cost the program
// its memory.
const maxResult = 16 << 20

func tooLong(name string) error {
	return fmt.Errorf("the result of %s would be larger than %d MiB", name, maxResult>>20)
}

// boundedText replaces the functions of the language that make long texts of
// short ones, in both spellings, by such as stop at maxResult.
func boundedText(v map[string]any, library *vm.Scope) {
	bounded := map[string]any{"replace": replaceAll, "join": join, "format": format}
	maps.Copy(v, bounded)
	if text, ok := library.Lookup("string"); ok {
		if functions, ok := text.(map[string]any); ok {
			functions = maps.Clone(functions)
			maps.Copy(functions, bounded)
			v["string"] = functions
		}
	}
	if encoding, ok := v["encoding"].(map[string]any); ok {
		for name, f := range encoding {
			if encode, ok := f.(func(string) (string, error)); ok {
				encoding[name] = func(in string) (string, error) {
					if len(in) > maxResult {
						return "", tooLong("encoding." + name)
					}
					return encode(in)
				}
			}
		}
	}
}

func replaceAll(s, old, new string) (string, error) {
	if n := strings.Count(s, old); len(new) > len(old) && len(s)+n*(len(new)-len(old)) > maxResult {
		return "", tooLong("replace")
	}
	return strings.ReplaceAll(s, old, new), nil
}

func join(parts []string, separator string) (string, error) {
	size := len(separator) * len(parts)
	for _, p := range parts {
		size += len(p)
	}
	if size > maxResult {
		return "", tooLong("join")
	}
	return strings.Join(parts, separator), nil
}

// width is a number in a format, or the star that takes it from an argument.
var width = regexp.MustCompile(`[0-9]+|\*`)

// maxWidth is the largest width that fmt takes.
const maxWidth = 1e6

// format is Sprintf. What it may return at most is reckoned before.
func format(text string, args ...any) (string, error) {
	longest := 0
	for _, a := range args {
		if s, ok := a.(string); ok {
			longest = max(longest, 4*len(s)) // with %q or %x
		}
	}
	size := len(text) + strings.Count(text, "%")*(longest+64)
	for _, w := range width.FindAllString(text, -1) {
		n, err := strconv.Atoi(w)
		if err != nil || n > maxWidth {
			n = maxWidth
		}
		size += n
	}
	if size > maxResult {
		return "", tooLong("format")
	}
	return fmt.Sprintf(text, args...), nil
}
