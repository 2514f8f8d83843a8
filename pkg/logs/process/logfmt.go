package process

import (
	"bufio"
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"collector/pkg/component"
	"collector/pkg/logs/expression"

	"github.com/go-logfmt/logfmt"
)

// LogfmtConfig is the block stage.logfmt.
type LogfmtConfig struct {
	Mapping map[string]string `alloy:"mapping,attr,optional"`
	Source  string            `alloy:"source,attr,optional"`
	Regex   string            `alloy:"regex,attr,optional"`
}

// Validate reports settings that can't work.
func (c *LogfmtConfig) Validate() error {
	_, err := newLogfmt(*c)
	return err
}

// logfmtStage extracts values of logfmt.
type logfmtStage struct {
	names  []source               // of values, with their keys in the text
	keys   *expression.Expression // that are extracted, too; nil: none
	source string
}

func newLogfmt(c LogfmtConfig) (Stage, error) {
	if len(c.Mapping) == 0 && c.Regex == "" {
		return nil, component.At("mapping", errors.New("it must not be empty, unless regex is set"))
	}
	s := &logfmtStage{source: c.Source}
	if c.Regex != "" {
		var err error
		if s.keys, err = compile("regex", c.Regex); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Mapping)) {
		key := cmp.Or(c.Mapping[name], name)
		if !slices.ContainsFunc(s.names, func(other source) bool { return other.from == key }) {
			s.names = append(s.names, source{name, key})
		}
	}
	return s, nil
}

func (s *logfmtStage) Process(e *Entry, emit Emit) {
	if text, ok := e.input(s.source); ok {
		s.read(e, text)
	}
	emit(e)
}

// read takes what comes before the first mistake.
func (s *logfmtStage) read(e *Entry, text string) {
	if len(text) < bufio.MaxScanTokenSize && strings.IndexByte(text, '\n') < 0 {
		for p := (logfmtLine{rest: text}); p.next(); {
			s.set(e, p.key, p.value)
		}
		return
	}
	d := logfmt.NewDecoder(strings.NewReader(text))
	for d.ScanRecord() {
		for d.ScanKeyval() {
			s.set(e, string(d.Key()), string(d.Value()))
		}
	}
}

func (s *logfmtStage) set(e *Entry, key, value string) {
	for i := range s.names {
		if s.names[i].from == key {
			e.Extracted.Set(s.names[i].name, Text(value))
			return
		}
	}
	if s.keys != nil && s.keys.MatchString(key) {
		e.Extracted.Set(key, Text(value))
	}
}

// logfmtLine reads pairs of one line as the library does, without copying them.
type logfmtLine struct {
	rest       string
	key, value string
}

// next reads a pair. It returns false at the end, and at the first mistake.
func (l *logfmtLine) next() bool {
	l.key, l.value = "", ""
	l.rest = l.rest[blanks(l.rest):]
	end := 0
	for end < len(l.rest) && l.rest[end] > ' ' && l.rest[end] != '=' && l.rest[end] != '"' {
		end++
	}
	l.key, l.rest = l.rest[:end], l.rest[end:]
	switch {
	case l.key == "" || !utf8.ValidString(l.key) || strings.ContainsRune(l.key, utf8.RuneError):
		return false
	case l.rest == "" || l.rest[0] <= ' ':
		return true
	case l.rest[0] == '"':
		return false
	}
	l.rest = l.rest[1:]
	if strings.HasPrefix(l.rest, `"`) {
		return l.quoted()
	}
	end = 0
	for end < len(l.rest) && l.rest[end] > ' ' {
		if c := l.rest[end]; c == '=' || c == '"' {
			return false
		}
		end++
	}
	l.value, l.rest = l.rest[:end], l.rest[end:]
	return true
}

// blanks is how many characters are before a key.
func blanks(text string) (n int) {
	for n < len(text) && text[n] <= ' ' {
		n++
	}
	return n
}

// quoted reads a value in quotes. One with escapes is left to the library.
func (l *logfmtLine) quoted() bool {
	escaped := false
	for i := 1; i < len(l.rest); i++ {
		switch l.rest[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			l.value, l.rest = l.rest[:i+1], l.rest[i+1:]
			if escaped {
				return l.unquote()
			}
			l.value = l.value[1:i]
			return true
		}
	}
	return false
}

func (l *logfmtLine) unquote() bool {
	d := logfmt.NewDecoder(strings.NewReader("k=" + l.value))
	ok := d.ScanRecord() && d.ScanKeyval()
	l.value = string(d.Value())
	return ok
}
