package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"collector/pkg/mask"
)

// Severity tells an error from a warning.
type Severity int

// The severities.
const (
	Error   Severity = iota // the configuration is refused
	Warning                 // it is accepted, but something in it has no effect
)

// Range is a place in a source: where something starts, and how far it
// reaches. Line and Column count from 1, columns in bytes. The zero Range is
// nowhere.
type Range struct {
	File               string
	Line, Column       int
	EndLine, EndColumn int // the last byte, inclusive

	text   string    // the line that it starts in, without its end
	lines  *excerpts // of the whole source; may be nil
	secret bool      // every string in that line must be hidden
}

// String is "file:line:column".
func (r Range) String() string {
	if r.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Line, r.Column)
}

// Source is the line in which r starts, as it may be shown: what looks like a
// credential is masked.
func (r Range) Source() string {
	line := r.text
	if shown := r.lines.line(r.Line); len(shown) == len(line) {
		line = shown
	}
	if r.secret {
		return maskStrings(line)
	}
	return maskLine(line)
}

// excerpts are the lines of a source as they may be shown, which are made when
// one is asked for: whether a string is a secret may be told by a line before it.
type excerpts struct {
	source   string
	original bool
	once     sync.Once
	shown    []string // guarded by once
}

func (e *excerpts) line(number int) string {
	if e == nil {
		return ""
	}
	e.once.Do(func() { e.shown = shownLines(e.source, e.original) })
	if number < 1 || number > len(e.shown) {
		return ""
	}
	return e.shown[number-1]
}

// Diagnostic is one thing that is wrong with a configuration.
type Diagnostic struct {
	Severity Severity
	At       Range
	Message  string
	Accepted string // what would be accepted; may be empty
	// Missing says that this machine lacks what it takes, a file or an environment
	// variable, and that another may have it.
	Missing bool
}

// Error is the diagnostic in one line. Passwords and parameters of
// URLs in it are masked.
func (d Diagnostic) Error() string {
	message := mask.WithoutLogins(mask.WithoutPasswords(d.Message))
	if d.Severity == Warning {
		message = "warning: " + message
	}
	if at := d.At.String(); at != "" {
		return at + ": " + message
	}
	return message
}

// String is the diagnostic with its source line and a caret below it.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Error())
	b.WriteByte('\n')
	if d.At.Line > 0 {
		number := fmt.Sprintf("%5d", d.At.Line)
		source, carets := d.At.excerpt()
		fmt.Fprintf(&b, "%s | %s\n", number, source)
		fmt.Fprintf(&b, "%*s | %s\n", len(number), "", carets)
	}
	if d.Accepted != "" {
		fmt.Fprintf(&b, "      accepted: %s\n", d.Accepted)
	}
	return b.String()
}

// Of a longer line, the part around what is meant is shown.
const (
	maxExcerpt = 240
	leadIn     = 80 // bytes before what is meant
)

// excerpt is the source line, for a terminal, and the line below it. That keeps
// tabs, so that the carets are below what they mark however wide a tab is.
func (r Range) excerpt() (source, carets string) {
	source = r.Source()
	start := min(max(r.Column-1, 0), len(source))
	end := len(source)
	if r.EndLine == r.Line && r.EndColumn < end {
		end = max(r.EndColumn, start)
	}
	from, to, before, after := 0, len(source), "", ""
	if len(source) > maxExcerpt {
		if from = runeStart(source, max(start-leadIn, 0)); from > 0 {
			before = "…"
		}
		if to = max(runeStart(source, min(from+maxExcerpt, len(source))), start); to < len(source) {
			after = "…"
		}
		end = min(end, to)
	}
	blank := strings.Map(func(c rune) rune {
		if c == '\t' {
			return c
		}
		return ' '
	}, before+source[from:start])
	marked := utf8.RuneCountInString(strings.TrimRight(source[start:end], " \t"))
	return strings.TrimRight(printable(before+source[from:to]+after), " \t"), blank + strings.Repeat("^", max(1, marked))
}

// runeStart is i, or where the character begins that i is in the middle of.
func runeStart(s string, i int) int {
	for back := range min(utf8.UTFMax, i+1) {
		if i-back == len(s) || utf8.RuneStart(s[i-back]) {
			return i - back
		}
	}
	return i // no UTF-8
}

// printable replaces what could steer a terminal, character by character.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && !unicode.IsPrint(c) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// Diagnostics is everything that is wrong with a configuration. As an error it
// prints all of it.
type Diagnostics []Diagnostic

// Unique is ds without what is said twice: a module that is used several times may
// be wrong in the same place each time.
func (ds Diagnostics) Unique() Diagnostics {
	var out Diagnostics
	type key struct {
		at      string
		message string
		missing bool
	}
	seen := map[key]bool{}
	for _, d := range ds {
		k := key{d.At.String(), d.Message, d.Missing}
		if !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	return out
}

// Error prints every diagnostic with its source line.
func (ds Diagnostics) Error() string { return strings.TrimSuffix(ds.String(), "\n") }

// String prints every diagnostic with its source line.
func (ds Diagnostics) String() string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(d.String())
	}
	return b.String()
}

// Errors are the diagnostics that are errors, in the order of the source.
func (ds Diagnostics) Errors() Diagnostics { return ds.only(Error) }

// Warnings are the diagnostics that are warnings, in the order of the source.
func (ds Diagnostics) Warnings() Diagnostics { return ds.only(Warning) }

func (ds Diagnostics) only(s Severity) Diagnostics {
	var out Diagnostics
	for _, d := range ds {
		if d.Severity == s {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, compare)
	return slices.CompactFunc(out, func(a, b Diagnostic) bool { return compare(a, b) == 0 })
}

func compare(a, b Diagnostic) int {
	return cmp.Or(
		strings.Compare(a.At.File, b.At.File),
		cmp.Compare(a.At.Line, b.At.Line),
		cmp.Compare(a.At.Column, b.At.Column),
		strings.Compare(a.Message, b.Message),
	)
}

// Err is the errors among ds, or nil when there is none.
func (ds Diagnostics) Err() error {
	if errs := ds.Errors(); len(errs) > 0 {
		return errs
	}
	return nil
}
