package process

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/scanner"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/logs/expression"
)

// selector is a LogQL stream selector with line filters, such as
// {app="shop"} |= "error" !~ "retry".
type selector struct {
	matchers []*labels.Matcher
	filters  []lineFilter
}

// lineFilter looks for a text, or for what matches re, in a line.
type lineFilter struct {
	text string
	re   *expression.Expression
	not  bool
}

// stream reports whether a stream matches, whatever its lines are.
func (s *selector) stream(get func(name string) string) bool {
	for _, m := range s.matchers {
		if !m.Matches(get(m.Name)) {
			return false
		}
	}
	return true
}

func (s *selector) line(line string) bool {
	for i := range s.filters {
		f := &s.filters[i]
		found := false
		if f.re != nil {
			found = f.re.MatchString(line)
		} else {
			found = strings.Contains(line, f.text)
		}
		if found == f.not {
			return false
		}
	}
	return true
}

// selectorParser reads tokens as Alloy's does: those of Go, so that comments are
// skipped, and texts are in double quotes only.
type selectorParser struct {
	scanner.Scanner
	err error
}

// token is a word, an operator, or the text of a string.
type token struct {
	kind rune // scanner.String, scanner.EOF, or 0
	text string
}

func parseSelector(text string) (*selector, error) {
	p := &selectorParser{}
	p.Init(strings.NewReader(text))
	p.Scanner.Error = func(_ *scanner.Scanner, message string) { p.fail(message) }
	s, err := p.parse()
	if p.err != nil {
		err = p.err
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (p *selectorParser) fail(message string) {
	if p.err == nil {
		p.err = fmt.Errorf("column %d: %s", p.Column, message)
	}
}

func (p *selectorParser) next() token {
	switch r := p.Scan(); r {
	case scanner.EOF:
		return token{kind: r}
	case scanner.String:
		text, err := strconv.Unquote(p.TokenText())
		if err != nil {
			p.fail("the text in quotes is not valid")
		}
		return token{scanner.String, text}
	case scanner.RawString:
		p.fail("write the text in double quotes, not in backquotes")
	}
	text := p.TokenText()
	switch two := text + string(p.Peek()); two {
	case "!=", "=~", "!~", "|=", "|~":
		p.Next()
		return token{text: two}
	}
	return token{text: text}
}

func (p *selectorParser) parse() (*selector, error) {
	if t := p.next(); t.text != "{" || t.kind != 0 {
		return nil, errors.New(`expected "{" at the beginning`)
	}
	s := &selector{}
	for {
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		s.matchers = append(s.matchers, m)
		switch t := p.next(); {
		case t.kind == 0 && t.text == "}":
			return s, p.lineFilters(s)
		case t.kind != 0 || t.text != ",":
			return nil, fmt.Errorf(`column %d: expected "," or "}"`, p.Column)
		}
	}
}

func (p *selectorParser) matcher() (*labels.Matcher, error) {
	types := map[string]labels.MatchType{
		"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp,
	}
	name := p.next()
	if name.kind != 0 || strings.ContainsAny(name.text, "{},.=!|~\"") {
		return nil, fmt.Errorf("column %d: expected the name of a label", p.Column)
	}
	op := p.next()
	kind, ok := types[op.text]
	if !ok || op.kind != 0 {
		return nil, fmt.Errorf("column %d: expected =, !=, =~ or !~", p.Column)
	}
	value := p.next()
	if value.kind != scanner.String {
		return nil, fmt.Errorf("column %d: expected a text in double quotes", p.Column)
	}
	m, err := labels.NewMatcher(kind, name.text, value.text)
	if err != nil {
		return nil, fmt.Errorf("the value of %s: %w", name.text, err)
	}
	return m, nil
}

func (p *selectorParser) lineFilters(s *selector) error {
	for {
		op := p.next()
		if op.kind == scanner.EOF {
			return nil
		}
		if op.kind != 0 || !strings.Contains(" |= |~ != !~ ", " "+op.text+" ") {
			return fmt.Errorf("column %d: expected a line filter: |=, !=, |~ or !~", p.Column)
		}
		value := p.next()
		if value.kind != scanner.String {
			return fmt.Errorf("column %d: expected a text in double quotes", p.Column)
		}
		f := lineFilter{text: value.text, not: op.text[0] == '!'}
		if op.text[1] == '~' {
			var err error
			if f.re, err = expression.Compile(value.text); err != nil {
				return fmt.Errorf("line filter %q: %w", value.text, err)
			}
		}
		s.filters = append(s.filters, f)
	}
}
