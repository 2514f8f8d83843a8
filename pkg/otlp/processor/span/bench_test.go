package span

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/spanprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{Status: &Status{Code: "Ok"}}
	bridgetest.Compare(b, pipeline.SignalTraces, spanprocessor.NewFactory(), bridge.Settings{"status": map[string]any{"code": "Ok"}}, func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
