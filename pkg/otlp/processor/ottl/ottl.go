// Package ottl is what processors have in common whose arguments are statements or
// conditions of the OpenTelemetry Transformation Language.
package ottl

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	otelprocessor "go.opentelemetry.io/collector/processor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
)

// ErrorMode says what a processor does with an item for which a statement or a
// condition fails.
type ErrorMode string

// Propagate rejects the request.
const Propagate ErrorMode = "propagate"

// UnmarshalText reads a mode.
func (m *ErrorMode) UnmarshalText(text []byte) error {
	switch mode := ErrorMode(strings.ToLower(string(text))); mode {
	case Propagate, "ignore", "silent":
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is not known: use ignore, silent or propagate", text)
}

// Part is one of the statements or conditions of a processor: where it is written,
// and the settings that hold it alone.
type Part struct {
	Path     string
	Settings bridge.Settings
}

// Check makes a processor's factory check the settings, and says which of the parts are
// wrong.
func Check(factory otelprocessor.Factory, settings bridge.Settings, parts []Part) error {
	whole := settings.Check(factory)
	if whole == nil {
		return nil
	}
	var errs []error
	for _, p := range parts {
		if err := p.Settings.Check(factory); err != nil {
			errs = append(errs, component.At(p.Path, Short(err)))
		}
	}
	if len(errs) == 0 { // they are wrong only together
		return Short(whole)
	}
	return errors.Join(errs...)
}

// quoted is how the language's parser begins an error: with what it parses, which is
// shown beside the error anyway.
var quoted = regexp.MustCompile(`^unable to parse OTTL (?:statement|condition|value expression) "(?:[^"\\]|\\.)*": `)

// Short is err without the text that it is about.
func Short(err error) error {
	return errors.New(quoted.ReplaceAllString(err.Error(), ""))
}
