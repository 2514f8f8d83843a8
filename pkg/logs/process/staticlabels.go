package process

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"collector/pkg/component"

	"github.com/prometheus/prometheus/model/labels"
)

// StaticLabelsConfig is the block stage.static_labels.
type StaticLabelsConfig struct {
	Values map[string]*string `alloy:"values,attr"`
}

// Validate reports settings that can't work.
func (c *StaticLabelsConfig) Validate() error {
	if c.Values == nil {
		return component.At("values", errors.New("it must not be null"))
	}
	for name, value := range c.Values {
		if value != nil && !utf8.ValidString(*value) {
			return component.At("values", fmt.Errorf("the value of %q is not valid UTF-8", name))
		}
	}
	return checkLabelNames(c.Values)
}

// staticLabels sets labels to constants; an empty one leaves the label alone.
type staticLabels struct{ labels []labels.Label }

func newStaticLabels(c StaticLabelsConfig) (Stage, error) {
	s := &staticLabels{}
	for name, value := range c.Values {
		if value != nil && *value != "" {
			s.labels = append(s.labels, labels.Label{Name: name, Value: *value})
		}
	}
	return s, c.Validate()
}

func (s *staticLabels) Process(e *Entry, emit Emit) {
	for _, l := range s.labels {
		e.Labels.Set(l.Name, l.Value)
	}
	emit(e)
}
