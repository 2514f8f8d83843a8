package process

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
)

// TruncateConfig is the block stage.truncate.
type TruncateConfig struct {
	Rules []TruncateRule `alloy:"rule,block"`
}

// TruncateRule is the block rule.
type TruncateRule struct {
	Limit      component.Bytes `alloy:"limit,attr"`
	Suffix     string          `alloy:"suffix,attr,optional"`
	Sources    []string        `alloy:"sources,attr,optional"`
	SourceType string          `alloy:"source_type,attr,optional"`
}

// What a rule may be about.
const (
	truncateLine      = "line"
	truncateLabel     = "label"
	truncateMetadata  = "structured_metadata"
	truncateExtracted = "extracted"
)

// truncatedValue is the extracted value that lists what was truncated.
const truncatedValue = "truncated"

// SetToDefault sets what Alloy starts from.
func (r *TruncateRule) SetToDefault() { *r = TruncateRule{SourceType: truncateLine} }

// Validate reports settings that can't work.
func (r *TruncateRule) Validate() error {
	kinds := []string{truncateLine, truncateLabel, truncateMetadata, truncateExtracted}
	switch {
	case r.Limit <= 0:
		return component.At("limit", errors.New("it must be positive"))
	case r.SourceType == "" || r.SourceType == truncateLine:
		if len(r.Sources) > 0 {
			return component.At("sources", errors.New("it needs a source_type other than \"line\""))
		}
	case !slices.Contains(kinds, r.SourceType):
		return component.At("source_type", fmt.Errorf("%q must be one of %s", r.SourceType, strings.Join(kinds, ", ")))
	}
	if len(r.Suffix) >= int(r.Limit) && r.Suffix != "" {
		return component.At("suffix", fmt.Errorf("%q must be shorter than limit, %s", r.Suffix, r.Limit))
	}
	return nil
}

// truncate cuts lines, labels and values that are too long.
type truncate struct {
	rules     []TruncateRule
	truncated *prometheus.CounterVec // by what was cut
	done      []string               // what was cut of the entry; reused
	cut       []source               // reused
	out       labels.ScratchBuilder
}

func newTruncate(c TruncateConfig, v *env) (Stage, error) {
	if len(c.Rules) == 0 {
		return nil, errors.New("at least one block rule is needed")
	}
	for i := range c.Rules {
		if err := c.Rules[i].Validate(); err != nil {
			return nil, component.At(component.Block("rule", i), err)
		}
	}
	s := &truncate{rules: c.Rules}
	var err error
	s.truncated, err = v.counter("loki_process_truncated_fields_total", "Lines, labels, extracted values and structured metadata that were truncated.", "field")
	return s, err
}

func (s *truncate) Process(e *Entry, emit Emit) {
	s.done = s.done[:0]
	for i := range s.rules {
		s.apply(e, &s.rules[i])
		if len(s.done) > 0 {
			s.note(e)
		}
	}
	emit(e)
}

func (s *truncate) apply(e *Entry, r *TruncateRule) {
	switch r.SourceType {
	case truncateLabel:
		s.begin(r, func(f func(name, value string)) { e.Labels.Range(func(l labels.Label) { f(l.Name, l.Value) }) })
		for _, c := range s.cut {
			e.Labels.Set(c.name, c.from)
		}
	case truncateMetadata:
		s.begin(r, func(f func(name, value string)) { e.Metadata.Range(func(l labels.Label) { f(l.Name, l.Value) }) })
		if len(s.cut) > 0 {
			e.Metadata = s.withCut(e.Metadata)
		}
	case truncateExtracted:
		s.begin(r, func(f func(name, value string)) {
			e.Extracted.Range(func(name string, v Value) {
				if v.kind == kindText {
					f(name, v.text)
				}
			})
		})
		for _, c := range s.cut {
			e.Extracted.Set(c.name, Text(c.from))
		}
	default:
		if text, ok := r.cut(e.Line); ok {
			e.Line = text
			s.mark(truncateLine)
		}
	}
}

// cut returns a text that is too long, cut.
func (r *TruncateRule) cut(text string) (string, bool) {
	keep := int(r.Limit) - len(r.Suffix)
	if len(text) <= keep {
		return text, false
	}
	return text[:keep] + r.Suffix, true
}

// begin lists what the rule cuts, with the results.
func (s *truncate) begin(r *TruncateRule, all func(func(name, value string))) {
	s.cut = s.cut[:0]
	all(func(name, value string) {
		if len(r.Sources) > 0 && !slices.Contains(r.Sources, name) {
			return
		}
		if text, ok := r.cut(value); ok {
			s.cut = append(s.cut, source{name, text})
			s.mark(r.SourceType)
		}
	})
}

func (s *truncate) withCut(metadata labels.Labels) labels.Labels {
	s.out.Reset()
	metadata.Range(func(l labels.Label) {
		for _, c := range s.cut {
			if c.name == l.Name {
				l.Value = c.from
			}
		}
		s.out.Add(l.Name, l.Value)
	})
	return s.out.Labels()
}

func (s *truncate) mark(field string) {
	s.truncated.WithLabelValues(field).Inc()
	if !slices.Contains(s.done, field) {
		s.done = append(s.done, field)
	}
}

// note extracts what was cut, here and by stages before.
func (s *truncate) note(e *Entry) {
	if v, ok := e.Extracted.Get(truncatedValue); ok && v.kind == kindText {
		for _, field := range strings.Split(v.text, ",") {
			if !slices.Contains(s.done, field) {
				s.done = append(s.done, field)
			}
		}
	}
	slices.Sort(s.done)
	e.Extracted.Set(truncatedValue, Text(strings.Join(s.done, ",")))
}
