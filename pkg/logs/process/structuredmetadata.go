package process

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"collector/pkg/component"

	"github.com/prometheus/prometheus/model/labels"
)

// StructuredMetadataConfig is the block stage.structured_metadata.
type StructuredMetadataConfig struct {
	Values map[string]*string `alloy:"values,attr,optional"`
	Regex  string             `alloy:"regex,attr,optional"`
}

// Validate reports settings that can't work.
func (c *StructuredMetadataConfig) Validate() error {
	if _, err := regexp.Compile(c.Regex); err != nil {
		return component.At("regex", fmt.Errorf("%q: %w", c.Regex, err))
	}
	return checkLabelNames(c.Values)
}

// structuredMetadata makes structured metadata of values that were extracted, and of
// labels, which it removes.
type structuredMetadata struct {
	sources []source
	re      *regexp.Regexp // nil for none
	out     labels.ScratchBuilder
	pairs   []labels.Label // reused
	moved   []string       // reused
}

func newStructuredMetadata(c StructuredMetadataConfig) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &structuredMetadata{sources: sourcesOf(c.Values)}
	if c.Regex != "" {
		s.re = regexp.MustCompile(c.Regex)
	}
	return s, nil
}

func (s *structuredMetadata) Process(e *Entry, emit Emit) {
	s.pairs, s.moved = s.pairs[:0], s.moved[:0]
	for _, from := range s.sources {
		if value, ok := e.Extracted.Text(from.from); ok {
			s.add(from.name, value)
		}
		if value, ok := e.Labels.Get(from.from); ok {
			s.add(from.name, value)
			s.moved = append(s.moved, from.from)
		}
	}
	if s.re != nil {
		s.match(e)
	}
	for _, name := range s.moved {
		e.Labels.Delete(name)
	}
	if len(s.pairs) > 0 {
		e.Metadata = s.with(e.Metadata)
	}
	emit(e)
}

// match adds what has a name that the regular expression matches.
func (s *structuredMetadata) match(e *Entry) {
	e.Extracted.Range(func(name string, v Value) {
		if value, ok := v.String(); ok && s.re.MatchString(name) {
			s.add(name, value)
		}
	})
	e.Labels.Range(func(l labels.Label) {
		if s.re.MatchString(l.Name) {
			s.add(l.Name, l.Value)
			s.moved = append(s.moved, l.Name)
		}
	})
}

// add replaces what has the name.
func (s *structuredMetadata) add(name, value string) {
	if !utf8.ValidString(value) {
		return
	}
	for i := range s.pairs {
		if s.pairs[i].Name == name {
			s.pairs[i].Value = value
			return
		}
	}
	s.pairs = append(s.pairs, labels.Label{Name: name, Value: value})
}

// with returns the metadata with pairs, which replace those of their names.
func (s *structuredMetadata) with(metadata labels.Labels) labels.Labels {
	s.out.Reset()
	metadata.Range(func(l labels.Label) {
		for _, p := range s.pairs {
			if p.Name == l.Name {
				return
			}
		}
		s.out.Add(l.Name, l.Value)
	})
	for _, p := range s.pairs {
		s.out.Add(p.Name, p.Value)
	}
	s.out.Sort()
	return s.out.Labels()
}
