package api

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// selector reads the labels of a stream as they are in protobuf:
// {job="shop", "größe"="x"}, with white space and comments anywhere, as PromQL has
// them.
type selector struct {
	text string
	at   int
}

// parseLabels appends the labels of a stream to pairs.
func parseLabels(text string, pairs []labels.Label) ([]labels.Label, error) {
	s := selector{text: text}
	if name := s.name(); name != "" {
		pairs = append(pairs, labels.Label{Name: labels.MetricName, Value: name})
	}
	if !s.next('{') {
		return pairs, s.wrong("{")
	}
	for !s.next('}') {
		var err error
		if pairs, err = s.label(pairs); err != nil {
			return pairs, err
		}
		if !s.next(',') && s.peek() != '}' {
			return pairs, s.wrong("a comma or }")
		}
	}
	if s.peek() != 0 || s.at < len(text) {
		return pairs, s.wrong("the end")
	}
	return pairs, nil
}

// label reads one label, or the name of the metric in quotes.
func (s *selector) label(pairs []labels.Label) ([]labels.Label, error) {
	name, quoted := "", false
	var err error
	switch c := s.peek(); c {
	case '"', '\'', '`':
		quoted = true
		name, err = s.quoted()
	default:
		name = s.name()
	}
	if err == nil && name == "" {
		err = s.wrong("the name of a label")
	}
	if err != nil {
		return pairs, err
	}
	if quoted && (s.peek() == ',' || s.peek() == '}') {
		return append(pairs, labels.Label{Name: labels.MetricName, Value: name}), nil
	}
	if !s.next('=') {
		return pairs, s.wrong("=")
	}
	value, err := s.quoted()
	return append(pairs, labels.Label{Name: name, Value: value}), err
}

// peek returns the next byte after white space and comments; 0: the end.
func (s *selector) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		case '#':
			end := strings.IndexByte(s.text[s.at:], '\n')
			if end < 0 {
				end = len(s.text) - s.at
			}
			s.at += end
		default:
			return c
		}
	}
	return 0
}

func (s *selector) next(c byte) bool {
	if s.peek() != c || s.at == len(s.text) {
		return false
	}
	s.at++
	return true
}

// name reads an identifier; empty: there is none.
func (s *selector) name() string {
	s.peek()
	start := s.at
	for s.at < len(s.text) && isNameByte(s.text[s.at], s.at > start) {
		s.at++
	}
	return s.text[start:s.at]
}

func isNameByte(c byte, inside bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || inside && '0' <= c && c <= '9'
}

// validName reports whether a label name is one without quotes.
func validName(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i], i > 0) {
			return false
		}
	}
	return name != ""
}

// quoted reads a text in quotes of any kind.
func (s *selector) quoted() (string, error) {
	quote := s.peek()
	if quote != '"' && quote != '\'' && quote != '`' {
		return "", s.wrong("a text in quotes")
	}
	end := s.at + 1
	for end < len(s.text) && s.text[end] != quote {
		if s.text[end] == '\\' && quote != '`' {
			end++
		}
		end++
	}
	if end >= len(s.text) {
		return "", errors.New("a text in quotes does not end")
	}
	raw := s.text[s.at+1 : end]
	text, err := unquote(raw, quote)
	if err != nil {
		return "", s.wrong("a text in quotes with valid escapes")
	}
	s.at = end + 1
	return text, nil
}

func unquote(raw string, quote byte) (string, error) {
	if quote == '`' {
		return raw, nil
	}
	if strings.ContainsRune(raw, '\n') {
		return "", strconv.ErrSyntax
	}
	var b strings.Builder
	for plain := true; raw != ""; plain = false {
		i := strings.IndexByte(raw, '\\')
		if i < 0 && plain {
			return strings.Clone(raw), nil
		}
		if i != 0 {
			if i < 0 {
				i = len(raw)
			}
			b.WriteString(raw[:i])
			raw = raw[i:]
			continue
		}
		c, multibyte, rest, err := strconv.UnquoteChar(raw, quote)
		if err != nil {
			return "", err
		}
		if raw = rest; multibyte {
			b.WriteRune(c)
		} else {
			b.WriteByte(byte(c))
		}
	}
	return b.String(), nil
}

// wrong is the error for anything else in the place of want.
func (s *selector) wrong(want string) error {
	if c := s.peek(); s.at < len(s.text) {
		return fmt.Errorf("byte %d of the labels is %q, where %s is expected: they are written {name=\"value\", …}", s.at+1, c, want)
	}
	return fmt.Errorf("the labels end after byte %d, where %s is expected: they are written {name=\"value\", …}", len(s.text), want)
}

// distinct sorts pairs by name; of several with one name the last stays.
func distinct(pairs []labels.Label) []labels.Label {
	slices.SortStableFunc(pairs, func(a, b labels.Label) int { return strings.Compare(a.Name, b.Name) })
	kept := pairs[:0]
	for i := range pairs {
		if n := len(kept); n > 0 && kept[n-1].Name == pairs[i].Name {
			kept[n-1] = pairs[i]
			continue
		}
		kept = append(kept, pairs[i])
	}
	return kept
}
