package sampler

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/probabilisticsamplerprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{SamplingPercentage: 50, SamplingPrecision: 4, AttributeSource: "traceID"}
	bridgetest.Compare(b, pipeline.SignalTraces, probabilisticsamplerprocessor.NewFactory(), bridge.Settings{"sampling_percentage": 50.0, "fail_closed": false}, func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
