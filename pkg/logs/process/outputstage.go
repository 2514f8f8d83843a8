package process

import (
	"errors"

	"collector/pkg/component"
)

// OutputConfig is the block stage.output.
type OutputConfig struct {
	Source string `alloy:"source,attr"`
}

// Validate reports settings that can't work.
func (c *OutputConfig) Validate() error {
	if c.Source == "" {
		return component.At("source", errors.New("it must not be empty"))
	}
	return nil
}

// outputStage makes the line of a value that was extracted.
type outputStage struct{ source string }

func newOutput(c OutputConfig) (Stage, error) {
	return &outputStage{c.Source}, c.Validate()
}

func (s *outputStage) Process(e *Entry, emit Emit) {
	if text, ok := e.Extracted.Text(s.source); ok {
		e.Line = text
	}
	emit(e)
}
