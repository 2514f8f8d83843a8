package process

import (
	"errors"
	"regexp"
	"strings"

	"collector/pkg/component"

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
	names  map[string]string // of values by their keys in the text
	keys   *regexp.Regexp    // that are extracted, too; nil: none
	source string
}

func newLogfmt(c LogfmtConfig) (Stage, error) {
	if len(c.Mapping) == 0 && c.Regex == "" {
		return nil, component.At("mapping", errors.New("it must not be empty, unless regex is set"))
	}
	s := &logfmtStage{names: make(map[string]string), source: c.Source}
	if c.Regex != "" {
		var err error
		if s.keys, err = compile("regex", c.Regex); err != nil {
			return nil, err
		}
	}
	for name, key := range c.Mapping {
		if key == "" {
			key = name
		}
		if other, ok := s.names[key]; !ok || name < other {
			s.names[key] = name
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
	d := logfmt.NewDecoder(strings.NewReader(text))
	for d.ScanRecord() {
		for d.ScanKeyval() {
			if name, ok := s.names[string(d.Key())]; ok {
				e.Extracted.Set(name, Text(string(d.Value())))
			} else if s.keys != nil && s.keys.Match(d.Key()) {
				e.Extracted.Set(string(d.Key()), Text(string(d.Value())))
			}
		}
	}
}
