package remotewrite

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
	"collector/pkg/remotewrite/remotewritetest"
)

func TestRemoteWriteKeepsTheContractOfSinks(t *testing.T) {
	var up atomic.Bool
	to := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		if up.Load() {
			return remotewritetest.Answer{}
		}
		return remotewritetest.Answer{Status: http.StatusServiceUnavailable}
	})
	series := pipeline.NewSeries(labels.FromStrings("__name__", "m"))
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			cfg := testConfig(to.URL)
			cfg.Endpoints[0].Queue.MinBackoff, cfg.Endpoints[0].Queue.MaxBackoff = 1e6, 1e7
			c, err := New(cfg, component.Options{Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			samples := []pipeline.Sample{{Series: series, T: int64(1000 + number), V: float64(number)}}
			err := r.(*Component).WriteMetrics(ctx, pipeline.Metrics{Samples: samples})
			samples[0] = pipeline.Sample{Series: series, V: -2}
			return err
		},
		Serve: up.Store,
		Arrived: func() map[int]int {
			arrived := make(map[int]int)
			for _, s := range to.Samples() {
				arrived[int(s.Value())]++
			}
			return arrived
		},
	}.Test(t)
}
