package process

import (
	"errors"
	"unicode/utf8"

	"collector/pkg/component"
)

// LabelsConfig is the block stage.labels.
type LabelsConfig struct {
	Values map[string]*string `alloy:"values,attr"`
}

// Validate reports settings that can't work.
func (c *LabelsConfig) Validate() error {
	if c.Values == nil {
		return component.At("values", errors.New("it must not be null"))
	}
	return checkLabelNames(c.Values)
}

// labelsStage makes labels of values that were extracted.
type labelsStage struct{ sources []source }

func newLabels(c LabelsConfig) (Stage, error) {
	return &labelsStage{sourcesOf(c.Values)}, c.Validate()
}

func (s *labelsStage) Process(e *Entry, emit Emit) {
	for _, from := range s.sources {
		if value, ok := e.Extracted.Text(from.from); ok && utf8.ValidString(value) {
			e.Labels.Set(from.name, value)
		}
	}
	emit(e)
}
