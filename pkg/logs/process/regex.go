package process

import (
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"collector/pkg/logs/expression"
)

// RegexConfig is the block stage.regex.
type RegexConfig struct {
	Expression       string  `alloy:"expression,attr"`
	Source           *string `alloy:"source,attr,optional"`
	LabelsFromGroups bool    `alloy:"labels_from_groups,attr,optional"`
}

// Validate reports settings that can't work.
func (c *RegexConfig) Validate() error {
	_, err := newRegex(*c)
	return err
}

// regexStage extracts the named groups of a regular expression.
type regexStage struct {
	expression *expression.Expression
	names      []string // of groups; empty for those without a name
	source     string
	labels     bool
}

func newRegex(c RegexConfig) (Stage, error) {
	re, err := compile("expression", c.Expression)
	if err != nil {
		return nil, err
	}
	s := &regexStage{expression: re, names: re.SubexpNames(), labels: c.LabelsFromGroups}
	if s.source, err = optionalSource(c.Source); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *regexStage) Process(e *Entry, emit Emit) {
	if text, ok := e.input(s.source); ok {
		s.read(e, text)
	}
	emit(e)
}

func (s *regexStage) read(e *Entry, text string) {
	match := s.expression.FindStringSubmatchIndex(text)
	if match == nil {
		return
	}
	for i, name := range s.names {
		if i == 0 || name == "" {
			continue
		}
		value := ""
		if match[2*i] >= 0 {
			value = text[match[2*i]:match[2*i+1]]
		}
		extract(e, name, value, s.labels)
	}
}

// extract sets what a group captured, and a label of it.
func extract(e *Entry, name, value string, label bool) {
	e.Extracted.Set(name, Text(value))
	if label && model.UTF8Validation.IsValidLabelName(name) && utf8.ValidString(value) {
		e.Labels.Set(name, value)
	}
}
