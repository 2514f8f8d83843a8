package process

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/logs/expression"
)

// input is what a stage reads: a value that was extracted, or without a source
// the line. ok is false if the value isn't there, or is no text.
func (e *Entry) input(source string) (text string, ok bool) {
	if source == "" {
		return e.Line, true
	}
	return e.Extracted.Text(source)
}

// optionalSource checks an argument that is not empty if it is given.
func optionalSource(source *string) (string, error) {
	if source == nil {
		return "", nil
	}
	if *source == "" {
		return "", component.At("source", errors.New("it must not be empty; omit it to read the line"))
	}
	return *source, nil
}

// compile compiles an argument that is a regular expression.
func compile(argument, text string) (*expression.Expression, error) {
	if text == "" {
		return nil, component.At(argument, errors.New("it must not be empty"))
	}
	x, err := expression.Compile(text)
	if err != nil {
		return nil, component.At(argument, fmt.Errorf("%q: %w", text, err))
	}
	return x, nil
}

// source is a name, and the name of the value that it gets.
type source struct{ name, from string }

// sourcesOf reads an argument that maps names to values; an empty one has the
// same name. They are sorted by name.
func sourcesOf(values map[string]*string) []source {
	var out []source
	for name, from := range values {
		s := source{name, name}
		if from != nil && *from != "" {
			s.from = *from
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b source) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out
}

// checkLabelNames reports names that no label can have.
func checkLabelNames(values map[string]*string) error {
	for name := range values {
		if !model.UTF8Validation.IsValidLabelName(name) {
			return component.At("values", fmt.Errorf("%q is not a valid label name", name))
		}
	}
	return nil
}

// notEmpty reports a list that lacks elements.
func notEmpty(argument string, values []string) error {
	if len(values) == 0 {
		return component.At(argument, errors.New("it must not be empty"))
	}
	return nil
}
