//go:build !no_otel_contrib

package otlp

import (
	"collector/pkg/component"
	"collector/pkg/otlp/processor/attributes"
)

// contrib are the components that the OpenTelemetry Collector's own code does the
// work of.
func contrib() []component.Definition {
	return []component.Definition{
		attributes.Definition(),
	}
}

// LeftOut are the components that this build lacks: the tag that left them out, by
// their names.
func LeftOut() map[string]string { return nil }
