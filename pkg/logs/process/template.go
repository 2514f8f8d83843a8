package process

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"text/template"

	"collector/pkg/component"

	"github.com/Masterminds/sprig/v3"
)

// TemplateConfig is the block stage.template.
type TemplateConfig struct {
	Source   string `alloy:"source,attr"`
	Template string `alloy:"template,attr"`
}

// Validate reports settings that can't work.
func (c *TemplateConfig) Validate() error {
	_, err := newTemplate(*c)
	return err
}

// templateStage makes a value by a template, of what was extracted and of the
// line. A template that fails changes nothing, and one that makes nothing removes
// the value.
type templateStage struct {
	source   string
	template *textTemplate
	input    templateInput // reused
}

func newTemplate(c TemplateConfig) (Stage, error) {
	if c.Source == "" {
		return nil, component.At("source", errors.New("it must not be empty"))
	}
	t, err := newTextTemplate(c.Template)
	if err != nil {
		return nil, component.At("template", err)
	}
	return &templateStage{source: c.Source, template: t}, nil
}

func (s *templateStage) Process(e *Entry, emit Emit) {
	s.input.of(e, s.source)
	if out, ok := s.template.execute(&s.input); ok {
		if len(out) == 0 {
			e.Extracted.Delete(s.source)
		} else {
			e.Extracted.Set(s.source, Text(string(out)))
		}
	}
	emit(e)
}

// of makes in what the template of a stage with this source can name.
func (in *templateInput) of(e *Entry, source string) {
	in.extracted, in.entry, in.isEntry = &e.Extracted, e.Line, true
	in.value, in.isText = e.Extracted.Text(source)
}

// parseTemplate parses a template that has the functions of Sprig and Alloy's own.
func parseTemplate(text string) (*template.Template, error) {
	functions := sprig.TxtFuncMap()
	for name, f := range templateFunctions() {
		functions[name] = f
	}
	return template.New("template").Funcs(functions).Parse(text)
}

func templateFunctions() template.FuncMap {
	return template.FuncMap{
		"ToLower": strings.ToLower, "ToUpper": strings.ToUpper, "Replace": strings.Replace,
		"Trim": strings.Trim, "TrimLeft": strings.TrimLeft, "TrimRight": strings.TrimRight,
		"TrimPrefix": strings.TrimPrefix, "TrimSuffix": strings.TrimSuffix, "TrimSpace": strings.TrimSpace,
		"Hash": hash, "Sha2Hash": sha2Hash,
		"regexReplaceAll": func(expression, text, with string) (string, error) {
			re, err := regexp.Compile(expression)
			if err != nil {
				return "", err
			}
			return re.ReplaceAllString(text, with), nil
		},
		"regexReplaceAllLiteral": func(expression, text, with string) (string, error) {
			re, err := regexp.Compile(expression)
			if err != nil {
				return "", err
			}
			return re.ReplaceAllLiteralString(text, with), nil
		},
	}
}

func hash(salt, text string) string {
	sum := sha3.Sum256([]byte(salt + text))
	return hex.EncodeToString(sum[:])
}

func sha2Hash(salt, text string) string {
	sum := sha256.Sum256([]byte(salt + text))
	return hex.EncodeToString(sum[:])
}
