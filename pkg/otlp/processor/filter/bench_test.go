package filter

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{ErrorMode: "ignore", Traces: Traces{Span: []string{`attributes["a"] == "b"`}}}
	bridgetest.Compare(b, pipeline.SignalTraces, filterprocessor.NewFactory(), c.settings(), func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
