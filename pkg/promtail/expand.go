package promtail

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A variable that is kept is written into the text of the file with characters that
// have no meaning elsewhere, and no meaning in YAML: its name and, if it has a
// default, that in hexadecimal digits.
const (
	keptStart   = "\uE000"
	keptDefault = "\uE001"
	keptEnd     = "\uE002"
)

var kept = regexp.MustCompile(keptStart + `(\w+)(?:(` + keptDefault + `)([0-9a-f]*))?` + keptEnd)

// expandError is what is wrong with a ${…}.
type expandError struct {
	line    int
	message string
}

// expand replaces variables as Promtail does: $$ is a dollar sign, a backslash
// before a slash or a backslash is removed, and ${NAME…} is a variable, perhaps
// changed.
func (r *reader) expand(text string) (string, *expandError) {
	keep := r.options.KeepVariables && !strings.ContainsAny(text, keptStart+keptDefault+keptEnd)
	var out strings.Builder
	line := 1
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "$$"), strings.HasPrefix(rest, `\\`), strings.HasPrefix(rest, `\/`):
			out.WriteByte(rest[1])
			i += 2
		case strings.HasPrefix(rest, "${"):
			value, length, err := r.variable(rest, keep)
			if err != nil {
				return "", &expandError{line, err.Error()}
			}
			out.WriteString(value)
			line += strings.Count(rest[:length], "\n")
			i += length
		default:
			if rest[0] == '\n' {
				line++
			}
			out.WriteByte(rest[0])
			i++
		}
		if out.Len() > maxFile {
			return "", &expandError{line, fmt.Sprintf("the result is larger than %d MiB", maxFile>>20)}
		}
	}
	return out.String(), nil
}

// variable is the value of the ${…} with which text begins, and its length.
func (r *reader) variable(text string, keep bool) (value string, length int, err error) {
	end := closing(text)
	if end < 0 {
		return "", 0, fmt.Errorf("a closing brace is missing")
	}
	inner, length := text[2:end], end+1
	size := strings.HasPrefix(inner, "#")
	inner = strings.TrimPrefix(inner, "#")
	cut := strings.IndexFunc(inner, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	if cut < 0 {
		cut = len(inner)
	}
	name, change := inner[:cut], inner[cut:]
	if name == "" {
		return "", 0, fmt.Errorf("%q has no name", text[:length])
	}
	if keep && !size && isWord(name) {
		if change == "" {
			return keptStart + name + keptEnd, length, nil
		}
		if other, ok := fallback(change); ok && !strings.Contains(other, "${") {
			return keptStart + name + keptDefault + hex.EncodeToString([]byte(other)) + keptEnd, length, nil
		}
	}
	value, _ = r.options.Getenv(name)
	if size {
		return strconv.Itoa(len(value)), length, nil
	}
	value, err = r.changed(value, change)
	if err != nil {
		return "", 0, fmt.Errorf("%q: %w", text[:length], err)
	}
	return value, length, nil
}

var word = regexp.MustCompile(`^\w+$`)

func isWord(name string) bool { return word.MatchString(name) }

// closing is where the brace is closed that text opens with "${".
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fallback is the text that replaces a variable that is empty.
func fallback(change string) (string, bool) {
	for _, operator := range []string{":-", ":=", ":?", ":+", "="} {
		if other, ok := strings.CutPrefix(change, operator); ok {
			return other, true
		}
	}
	return "", false
}

// changed is what follows a variable's name, done to its value.
func (r *reader) changed(value, change string) (string, error) {
	if other, ok := fallback(change); ok {
		if value != "" {
			return value, nil
		}
		expanded, err := r.expand(other)
		if err != nil {
			return "", fmt.Errorf("%s", err.message)
		}
		return expanded, nil
	}
	switch {
	case change == "":
		return value, nil
	case change == "^^":
		return strings.ToUpper(value), nil
	case change == ",,":
		return strings.ToLower(value), nil
	case change == "^" || change == ",":
		first, n := utf8.DecodeRuneInString(value)
		if n == 0 {
			return "", nil
		}
		if change == "^" {
			return string(unicode.ToUpper(first)) + value[n:], nil
		}
		return string(unicode.ToLower(first)) + value[n:], nil
	case strings.HasPrefix(change, "//"), strings.HasPrefix(change, "/"):
		return replaced(value, change)
	case strings.HasPrefix(change, ":"):
		return substring(value, change[1:]), nil
	}
	return "", fmt.Errorf("this expansion of a variable is not supported; supported are ${NAME}, ${NAME:-default}, ${NAME^^}, ${NAME,,}, ${NAME:start:length} and ${NAME/old/new}")
}

func replaced(value, change string) (string, error) {
	all := strings.HasPrefix(change, "//")
	old, other, _ := strings.Cut(strings.TrimLeft(change, "/"), "/")
	switch {
	case old == "":
		return "", fmt.Errorf("the text to replace is missing")
	case all:
		return strings.ReplaceAll(value, old, other), nil
	case old[0] == '#':
		if rest, ok := strings.CutPrefix(value, old[1:]); ok {
			return other + rest, nil
		}
		return value, nil
	case old[0] == '%':
		if rest, ok := strings.CutSuffix(value, old[1:]); ok {
			return rest + other, nil
		}
		return value, nil
	}
	return strings.Replace(value, old, other, 1), nil
}

// substring is the part of value that bounds, START or START:LENGTH, select; all of it if
// they are not numbers. A negative start counts from the end.
func substring(value, bounds string) string {
	from, length, limited := strings.Cut(bounds, ":")
	start, err := strconv.Atoi(from)
	if err != nil {
		return value
	}
	if start < 0 {
		start = max(len(value)+start, 0)
	}
	rest := value[min(start, len(value)):]
	n, err := strconv.Atoi(length)
	switch {
	case !limited:
		return rest
	case err != nil:
		return value
	}
	return rest[:max(0, min(n, len(rest)))]
}

// resolve replaces the variables in text that were kept.
func (r *reader) resolve(text string) string {
	if !strings.Contains(text, keptStart) {
		return text
	}
	return kept.ReplaceAllStringFunc(text, func(s string) string {
		m := kept.FindStringSubmatch(s)
		value, _ := r.options.Getenv(m[1])
		if value == "" && m[2] != "" {
			other, _ := hex.DecodeString(m[3])
			value = string(other)
		}
		return value
	})
}
