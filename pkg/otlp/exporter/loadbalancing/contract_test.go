package loadbalancing

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// There are two endpoints, as what goes to a single one is not taken apart.
func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	one := receivertest.Start(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	other := receivertest.Start(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			e, err := New(config(static(one.GRPC, other.GRPC)), component.Options{
				ID: "otelcol.exporter.loadbalancing.x", Dir: filepath.Join(dir, "x"), Metrics: prometheus.NewRegistry(),
			})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(*Exporter), number)
		},
		Serve: to.Serve, Arrived: to.Got, Bad: otlptest.BadBytes,
	}.Test(t)
}
