package otlp

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	sv := receivertest.Start(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			var c Config
			c.SetToDefault()
			c.Client.Endpoint, c.Client.TLS.Insecure = sv.GRPC, true
			c.Retry.InitialInterval, c.Retry.MaxInterval = time.Millisecond, 10*time.Millisecond
			e, err := New(c, component.Options{ID: "otelcol.exporter.otlp.test", Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(*exporter.Exporter), number)
		},
		Serve: to.Serve, Arrived: to.Got, Bad: otlptest.BadSignal,
	}.Test(t)
}
