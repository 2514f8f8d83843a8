package groupbyattrs

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/bridge/bridgetest"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

func BenchmarkBesideItsLibrary(b *testing.B) {
	c := Config{Keys: []string{"a"}}
	bridgetest.Compare(b, pipeline.SignalTraces, groupbyattrsprocessor.NewFactory(), bridge.Settings{"keys": c.Keys}, func(to flow.Output, o component.Options) (*bridge.Processor, error) {
		c.Output = to
		return New(c, o)
	})
}
