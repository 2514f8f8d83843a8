package process

import (
	"slices"
	"strings"

	"collector/pkg/logs/expression"
)

// ReplaceConfig is the block stage.replace.
type ReplaceConfig struct {
	Expression string `alloy:"expression,attr"`
	Source     string `alloy:"source,attr,optional"`
	Replace    string `alloy:"replace,attr,optional"`
}

// Validate reports settings that can't work.
func (c *ReplaceConfig) Validate() error {
	_, err := compile("expression", c.Expression)
	return err
}

// replace replaces what the groups of a regular expression capture, in every
// match, by what a template makes of it.
type replace struct {
	expression *expression.Expression
	source     string
	named      bool          // a group has a name
	template   *textTemplate // nil: it can't be parsed, and nothing is replaced
	input      templateInput // reused
}

func newReplace(c ReplaceConfig, v *env) (Stage, error) {
	re, err := compile("expression", c.Expression)
	if err != nil {
		return nil, err
	}
	named := func(name string) bool { return name != "" }
	s := &replace{expression: re, source: c.Source, named: slices.ContainsFunc(re.SubexpNames(), named)}
	if s.template, err = newTextTemplate(c.Replace); err != nil {
		v.logger.Warn("the template of a stage can't be parsed; it replaces nothing", "stage", "replace", "err", err)
	}
	return s, nil
}

func (s *replace) Process(e *Entry, emit Emit) {
	if text, ok := e.input(s.source); ok && s.template != nil {
		s.apply(e, text)
	}
	emit(e)
}

func (s *replace) apply(e *Entry, text string) {
	matches := s.expression.FindAllStringSubmatchIndex(text)
	if matches == nil {
		return
	}
	s.input.extracted, s.input.isText = &e.Extracted, true
	result, made, ok := s.rewrite(text, matches)
	if !ok {
		return
	}
	if s.source == "" {
		e.Line = result
	} else {
		e.Extracted.Set(s.source, Text(result))
	}
	for i, name := range s.expression.SubexpNames() {
		if i == 0 || name == "" {
			continue
		}
		captured := ""
		if at := matches[0][2*i]; at >= 0 {
			captured = text[at:matches[0][2*i+1]]
		}
		if value, ok := made[captured]; ok {
			e.Extracted.Set(name, Text(value))
		}
	}
}

// rewrite replaces the groups. If some have names, it also returns what became of
// each text that was captured; ok is false if the template fails. Of groups within
// each other, the outermost is replaced.
func (s *replace) rewrite(text string, matches [][]int) (result string, made map[string]string, ok bool) {
	var out strings.Builder
	if s.named {
		made = make(map[string]string)
	}
	end := 0
	for _, match := range matches {
		for i := 2; i < len(match); i += 2 {
			if match[i] < 0 {
				continue
			}
			captured := text[match[i]:match[i+1]]
			s.input.value = captured
			one, ok := s.template.execute(&s.input)
			if !ok {
				return "", nil, false
			}
			if s.named {
				made[captured] = string(one)
			}
			if end <= match[i] {
				out.WriteString(text[end:match[i]])
				out.Write(one)
				end = match[i+1]
			}
		}
	}
	out.WriteString(text[end:])
	return out.String(), made, true
}
