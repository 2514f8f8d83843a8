package process

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"collector/pkg/component"
)

// LabelsConfig is the block stage.labels.
type LabelsConfig struct {
	Values     map[string]*string `alloy:"values,attr"`
	SourceType string             `alloy:"source_type,attr,optional"`
}

// Where labels may come from.
const (
	fromExtracted = "extracted"
	fromMetadata  = "structured_metadata"
)

// SetToDefault sets what Alloy starts from.
func (c *LabelsConfig) SetToDefault() { *c = LabelsConfig{SourceType: fromExtracted} }

// Validate reports settings that can't work.
func (c *LabelsConfig) Validate() error {
	if c.Values == nil {
		return component.At("values", errors.New("it must not be null"))
	}
	if c.SourceType != "" && c.SourceType != fromExtracted && c.SourceType != fromMetadata {
		return component.At("source_type", fmt.Errorf("%q must be %q or %q", c.SourceType, fromExtracted, fromMetadata))
	}
	return checkLabelNames(c.Values)
}

// labelsStage makes labels of values that were extracted, or of structured metadata.
type labelsStage struct {
	sources  []source
	metadata bool
}

func newLabels(c LabelsConfig) (Stage, error) {
	return &labelsStage{sourcesOf(c.Values), c.SourceType == fromMetadata}, c.Validate()
}

// value is what becomes a label.
func (s *labelsStage) value(e *Entry, name string) (string, bool) {
	if s.metadata {
		return e.Metadata.Get(name), e.Metadata.Has(name)
	}
	return e.Extracted.Text(name)
}

func (s *labelsStage) Process(e *Entry, emit Emit) {
	for _, from := range s.sources {
		if value, ok := s.value(e, from.from); ok && utf8.ValidString(value) {
			e.Labels.Set(from.name, value)
		}
	}
	emit(e)
}
