package otlphttp

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Gathering{}
	wb := startWeb(t, func(_ int, body []byte, w http.ResponseWriter) {
		if to.WriteOTLP(t.Context(), pipeline.OTLP{Data: body}) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			var c Config
			c.SetToDefault()
			c.Client.Endpoint = wb.URL
			c.Retry.InitialInterval, c.Retry.MaxInterval = time.Millisecond, 10*time.Millisecond
			e, err := New(c, component.Options{ID: "otelcol.exporter.otlphttp.test", Dir: dir, Metrics: prometheus.NewRegistry()})
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
