package process

import (
	"strings"
	"text/template"

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
	template   *template.Template // nil: it can't be parsed, and nothing is replaced
	data       map[string]string  // reused
}

func newReplace(c ReplaceConfig, v *env) (Stage, error) {
	re, err := compile("expression", c.Expression)
	if err != nil {
		return nil, err
	}
	s := &replace{expression: re, source: c.Source, data: make(map[string]string)}
	if s.template, err = parseTemplate(c.Replace); err != nil {
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
	clear(s.data)
	e.Extracted.Range(func(name string, v Value) {
		if value, ok := v.String(); ok {
			s.data[name] = value
		}
	})
	result, made, err := s.rewrite(text, matches)
	if err != nil {
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

// rewrite replaces the groups. It also returns what became of each text that was
// captured. Of groups within each other, the outermost is replaced.
func (s *replace) rewrite(text string, matches [][]int) (string, map[string]string, error) {
	var out, one strings.Builder
	made := make(map[string]string)
	end := 0
	for _, match := range matches {
		for i := 2; i < len(match); i += 2 {
			if match[i] < 0 {
				continue
			}
			captured := text[match[i]:match[i+1]]
			s.data["Value"] = captured
			one.Reset()
			if err := s.template.Execute(&one, s.data); err != nil {
				return "", nil, err
			}
			made[captured] = one.String()
			if end <= match[i] {
				out.WriteString(text[end:match[i]])
				out.WriteString(one.String())
				end = match[i+1]
			}
		}
	}
	out.WriteString(text[end:])
	return out.String(), made, nil
}
