package process

import (
	"errors"
	"strings"

	"collector/pkg/component"

	"github.com/go-logfmt/logfmt"
)

// LogfmtConfig is the block stage.logfmt.
type LogfmtConfig struct {
	Mapping map[string]string `alloy:"mapping,attr"`
	Source  string            `alloy:"source,attr,optional"`
}

// Validate reports settings that can't work.
func (c *LogfmtConfig) Validate() error {
	if len(c.Mapping) == 0 {
		return component.At("mapping", errors.New("it must not be empty"))
	}
	return nil
}

// logfmtStage extracts values of logfmt.
type logfmtStage struct {
	names  map[string]string // of values by their keys in the text
	source string
}

func newLogfmt(c LogfmtConfig) (Stage, error) {
	s := &logfmtStage{names: make(map[string]string), source: c.Source}
	for name, key := range c.Mapping {
		if key == "" {
			key = name
		}
		if other, ok := s.names[key]; !ok || name < other {
			s.names[key] = name
		}
	}
	return s, c.Validate()
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
			}
		}
	}
}
