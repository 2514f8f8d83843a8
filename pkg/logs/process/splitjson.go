package process

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
)

// SplitJSONConfig is the block stage.split_json, of newer versions of Alloy.
type SplitJSONConfig struct {
	Source *string `alloy:"source,attr,optional"`
}

// Validate reports settings that can't work.
func (c *SplitJSONConfig) Validate() error {
	_, err := optionalSource(c.Source)
	return err
}

// splitJSON makes an entry of each element of a list.
type splitJSON struct {
	source string
	empty  prometheus.Counter // lists without an element, of which nothing is left
	// What the entry was, for each element; reused.
	extracted Extracted
	pairs     []labels.Label
}

func newSplitJSON(c SplitJSONConfig, v *env) (Stage, error) {
	source, err := optionalSource(c.Source)
	return &splitJSON{source: source, empty: v.metrics.dropped.WithLabelValues("empty_json_list")}, err
}

func (s *splitJSON) Process(e *Entry, emit Emit) {
	elements, ok := s.elements(e)
	if !ok {
		emit(e)
		return
	}
	if len(elements) == 0 {
		s.empty.Inc()
		return
	}
	before := *e
	s.extracted.copyFrom(&e.Extracted)
	s.pairs = append(s.pairs[:0], e.Labels.pairs...)
	for i, element := range elements {
		if i > 0 { // later stages may have changed everything
			extracted, pairs := e.Extracted, e.Labels.pairs
			*e = before
			e.Extracted, e.Labels.pairs = extracted, append(pairs[:0], s.pairs...)
			e.Extracted.copyFrom(&s.extracted)
		}
		e.Line = string(element)
		emit(e)
	}
}

// elements lists the elements, as they are written; ok is false if there is no list.
func (s *splitJSON) elements(e *Entry) (elements []json.RawMessage, ok bool) {
	text, ok := e.input(s.source)
	if !ok || !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") || json.Unmarshal([]byte(text), &elements) != nil {
		return nil, false
	}
	return slices.Clip(elements), true
}
