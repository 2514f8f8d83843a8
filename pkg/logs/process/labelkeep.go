package process

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// LabelKeepConfig is the block stage.label_keep.
type LabelKeepConfig struct {
	Values []string `alloy:"values,attr"`
}

// Validate reports settings that can't work.
func (c *LabelKeepConfig) Validate() error { return notEmpty("values", c.Values) }

// labelKeep removes all labels but some.
type labelKeep struct{ names []string }

func newLabelKeep(c LabelKeepConfig) (Stage, error) {
	return &labelKeep{c.Values}, c.Validate()
}

func (s *labelKeep) Process(e *Entry, emit Emit) {
	other := false
	e.Labels.Range(func(l labels.Label) { other = other || !s.keeps(l.Name) })
	if other {
		e.Labels.Keep(s.keeps)
	}
	emit(e)
}

func (s *labelKeep) keeps(name string) bool { return slices.Contains(s.names, name) }
