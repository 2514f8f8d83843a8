package cumulativetodelta

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{InitialValue: "keep"}
	bridgetest.Compare(b, pipeline.SignalMetrics, cumulativetodeltaprocessor.NewFactory(), bridge.Settings{"initial_value": "keep"}, func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
