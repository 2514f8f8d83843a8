package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/grafana/alloy/syntax/diag"
)

// notText reports, once, a file that is not UTF-8 text: the scanner would
// complain of each of its bytes.
func (f *file) notText(text []byte) Diagnostics {
	const accepted = "save the file as UTF-8"
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return Diagnostics{{At: Range{File: f.name}, Message: "the file is UTF-16, not UTF-8", Accepted: accepted}}
	}
	for i, line := range f.lines {
		column := strings.IndexByte(line, 0)
		what := "a NUL byte"
		if bad := invalidUTF8(line); bad >= 0 && (column < 0 || bad < column) {
			column, what = bad, "a byte that is not UTF-8"
		}
		if column >= 0 {
			at := Range{File: f.name, Line: i + 1, Column: column + 1, EndLine: i + 1, EndColumn: column + 1, text: line}
			return Diagnostics{{At: at, Message: "the file has " + what + " here", Accepted: accepted}}
		}
	}
	return nil
}

// invalidUTF8 is the index of the first byte of s that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

func (f *file) syntaxErrors(err error) Diagnostics {
	var found diag.Diagnostics
	if !errors.As(err, &found) {
		return Diagnostics{{At: Range{File: f.name}, Message: err.Error()}}
	}
	var ds Diagnostics
	for _, d := range found {
		if strings.HasSuffix(d.Message, "got ILLEGAL") {
			continue // the scanner has said what is illegal
		}
		message, accepted := explain(d.Message)
		ds = append(ds, Diagnostic{At: f.at(d.StartPos, d.EndPos), Message: message, Accepted: accepted})
	}
	return ds
}

// explain says in plain words what the parser says in those of a parser, and
// what would be accepted.
func explain(message string) (plain, accepted string) {
	words := strings.NewReplacer("TERMINATOR", "the end of the line", "EOF", "the end of the file",
		"IDENT", "a name", "expected identifier", "expected a name")
	const name = `name = value, or a block: name "label" { ... }`
	switch message {
	case "illegal character U+0023 '#'":
		return message, "comments begin with // or are enclosed in /* and */"
	case "illegal character U+003A ':'":
		return message, `"=" between a name and its value: this is neither YAML nor JSON`
	case "illegal character U+003B ';'":
		return message, "each argument on a line of its own"
	case "illegal character U+201C '“'", "illegal character U+201D '”'":
		return message, `straight double quotes: "`
	case "unknown escape sequence":
		return message, `\\ for a backslash, or the string in backquotes, which have no escapes`
	case "string literal not terminated":
		return message, `a string that ends with " on the same line`
	case "expected block label, got IDENT":
		return "the label of a block must be in double quotes", `name "label" { ... }`
	case "expected }, got EOF":
		return "a block is not closed before the end of the file", "}"
	}
	plain = words.Replace(message)
	switch {
	case strings.HasPrefix(message, "expected TERMINATOR"):
		return plain, "each argument on a line of its own"
	case strings.HasPrefix(message, "missing ','"):
		return plain, `"," after each element, also the last one before the end of a line`
	case strings.HasPrefix(message, "expected identifier"):
		return plain, name
	case strings.Contains(message, "to be a valid identifier"):
		return strings.Replace(plain, "valid identifier", "name", 1), "letters, digits and _, beginning with a letter or _"
	}
	return plain, ""
}
