package process

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// StructuredMetadataDropConfig is the block stage.structured_metadata_drop.
type StructuredMetadataDropConfig struct {
	Values []string `alloy:"values,attr"`
}

// Validate reports settings that can't work.
func (c *StructuredMetadataDropConfig) Validate() error { return notEmpty("values", c.Values) }

// structuredMetadataDrop removes structured metadata.
type structuredMetadataDrop struct {
	names []string
	out   labels.ScratchBuilder
}

func newStructuredMetadataDrop(c StructuredMetadataDropConfig) (Stage, error) {
	return &structuredMetadataDrop{names: c.Values}, c.Validate()
}

func (s *structuredMetadataDrop) Process(e *Entry, emit Emit) {
	if slices.ContainsFunc(s.names, e.Metadata.Has) {
		s.out.Reset()
		e.Metadata.Range(func(l labels.Label) {
			if !slices.Contains(s.names, l.Name) {
				s.out.Add(l.Name, l.Value)
			}
		})
		e.Metadata = s.out.Labels()
	}
	emit(e)
}
