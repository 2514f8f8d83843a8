package process

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"collector/pkg/component"

	"github.com/prometheus/common/model"
)

// PatternConfig is the block stage.pattern.
type PatternConfig struct {
	Pattern          string  `alloy:"pattern,attr"`
	Source           *string `alloy:"source,attr,optional"`
	LabelsFromGroups bool    `alloy:"labels_from_groups,attr,optional"`
}

// Validate reports settings that can't work.
func (c *PatternConfig) Validate() error {
	_, err := newPattern(*c)
	return err
}

// pattern extracts what is between texts, as LogQL's pattern parser does:
// <ip> - <user> [<_>] "<method> …
type pattern struct {
	begin  string // what a line begins with
	fields []patternField
	source string
	labels bool
}

// patternField is a capture, and the text after it.
type patternField struct {
	name  string // "_" captures nothing
	until string // empty for the rest
}

func newPattern(c PatternConfig) (*pattern, error) {
	if c.Pattern == "" {
		return nil, component.At("pattern", errors.New("it must not be empty"))
	}
	p := &pattern{labels: c.LabelsFromGroups}
	var err error
	if p.source, err = optionalSource(c.Source); err != nil {
		return nil, err
	}
	captures := regexp.MustCompile(`<[A-Za-z_][A-Za-z0-9_]*>`).FindAllStringIndex(c.Pattern, -1)
	seen := make(map[string]bool)
	for i, at := range captures {
		f := patternField{name: c.Pattern[at[0]+1 : at[1]-1]}
		if i == 0 {
			p.begin = c.Pattern[:at[0]]
		}
		end := len(c.Pattern)
		if i+1 < len(captures) {
			end = captures[i+1][0]
		}
		f.until = c.Pattern[at[1]:end]
		switch {
		case f.until == "" && i+1 < len(captures):
			return nil, component.At("pattern", fmt.Errorf("%q: <%s> must be followed by a text, not by another capture", c.Pattern, f.name))
		case f.name != "_" && seen[f.name]:
			return nil, component.At("pattern", fmt.Errorf("%q: <%s> is defined more than once", c.Pattern, f.name))
		case !model.LegacyValidation.IsValidLabelName(f.name):
			return nil, component.At("pattern", fmt.Errorf("%q: %q is not a valid name", c.Pattern, f.name))
		}
		seen[f.name] = true
		p.fields = append(p.fields, f)
	}
	if delete(seen, "_"); len(seen) == 0 {
		return nil, component.At("pattern", fmt.Errorf("%q: at least one capture is needed; for example: <level>", c.Pattern))
	}
	return p, nil
}

func (s *pattern) Process(e *Entry, emit Emit) {
	if text, ok := e.input(s.source); ok {
		s.read(e, text)
	}
	emit(e)
}

// read extracts the captures; the first whose text doesn't follow has the rest.
func (s *pattern) read(e *Entry, text string) {
	if text == "" {
		return
	}
	text, ok := strings.CutPrefix(text, s.begin)
	if !ok {
		return
	}
	for _, f := range s.fields {
		value, rest, found := text, "", false
		if f.until != "" {
			value, rest, found = strings.Cut(text, f.until)
		}
		if f.name != "_" {
			extract(e, f.name, value, s.labels)
		}
		if !found {
			return
		}
		text = rest
	}
}
