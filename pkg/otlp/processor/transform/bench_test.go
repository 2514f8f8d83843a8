package transform

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{ErrorMode: "ignore", TraceStatements: []Group{{Context: "span", Statements: []string{`set(attributes["a"], "b") where name != "x"`}}}}
	bridgetest.Compare(b, pipeline.SignalTraces, transformprocessor.NewFactory(), c.settings(), func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
